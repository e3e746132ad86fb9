"""What the JAX peers share: chains of fully connected layers, by our texts (docs/formats.md), Adam with donated
buffers, one thread where one is asked for."""

import os
import sys

import peer


def prepare(description):
    """Options, jax and its numpy; exits with 77 where there is no JAX or it cannot run this network."""
    options = peer.options(description)
    if options.threads == 1:
        # XLA sizes its pool by the processors it may use.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if any(word in text for text in options.network for word in ("conv", "view", "upsampled", "norm=")):
        peer.skip("chains of fully connected layers alone are written for JAX")
    try:
        import jax
    except ImportError as error:
        peer.skip(f"{sys.executable} cannot import jax ({error})")
    # Float32 throughout, as everybody here: a GPU would multiply in tf32 by default.
    jax.config.update("jax_default_matmul_precision", "highest")
    platform = options.device.split(":")[0]
    if jax.default_backend() not in (platform, {"cuda": "gpu"}.get(platform)):
        peer.skip(f"this JAX runs on {jax.default_backend()} only")
    return options, jax, jax.numpy


class Chain:
    """The layers of a text: sizes, activations and dropout."""

    def __init__(self, jax, text):
        self.jax = jax
        items = [item.split() for item in text.split(";")]
        if len(items[0]) == 1 and "x" in items[0][0]:
            items.pop(0)
        self.sizes, self.activations, self.dropout = [], [], []
        for words in items:
            inputs, outputs = map(int, next(word for word in words if ">" in word).split(">"))
            self.sizes.append((inputs, outputs))
            self.activations.append(next((word for word in words if word in ("relu", "leaky_relu", "tanh")), ""))
            self.dropout.append(next((float(word[8:]) for word in words if word.startswith("dropout=")), 0.0))

    def initialise(self, key):
        result = []
        for inputs, outputs in self.sizes:
            key, of_weight, of_bias = self.jax.random.split(key, 3)
            bound = inputs ** -0.5
            result.append((self.jax.random.uniform(of_weight, (inputs, outputs), minval=-bound, maxval=bound),
                           self.jax.random.uniform(of_bias, (outputs,), minval=-bound, maxval=bound)))
        return result

    def run(self, weights, x, key=None):
        """Without a key: evaluation."""
        for (weight, bias), activation, dropout in zip(weights, self.activations, self.dropout):
            x = x @ weight + bias
            if activation:
                x = {"relu": self.jax.nn.relu, "tanh": self.jax.numpy.tanh,
                     "leaky_relu": lambda z: self.jax.nn.leaky_relu(z, 0.2)}[activation](x)
            if dropout and key is not None:
                key, of_mask = self.jax.random.split(key)
                kept = self.jax.random.bernoulli(of_mask, 1 - dropout, x.shape)
                x = self.jax.numpy.where(kept, x / (1 - dropout), 0)
        return x


def zero_moments(jax, weights):
    return tuple(jax.tree_util.tree_map(jax.numpy.zeros_like, weights) for _ in range(2))


def adam(jax, weights, moments, gradient, t, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    tree = jax.tree_util.tree_map
    first = tree(lambda m, g: beta1 * m + (1 - beta1) * g, moments[0], gradient)
    second = tree(lambda v, g: beta2 * v + (1 - beta2) * g * g, moments[1], gradient)
    weights = tree(
        lambda w, m, v: w - rate / (1 - beta1 ** t) * m / (jax.numpy.sqrt(v / (1 - beta2 ** t)) + epsilon),
        weights, first, second)
    return weights, (first, second)
