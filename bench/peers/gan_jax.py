"""The GAN iteration of bench/iteration.cpp in JAX, one jit of the whole iteration, as JSON lines."""

import argparse
import json
import statistics
import sys
import time

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    print(f"gan_jax.py: skipped, {sys.executable} cannot import jax ({error})", file=sys.stderr)
    sys.exit(77)

# Float32 throughout, as everybody here: a GPU would multiply in tf32 by default.
jax.config.update("jax_default_matmul_precision", "highest")

PIXELS, LATENT, HIDDEN, PATCHES = 7500, 64, 256, 4096
BETA1, BETA2, RATE, EPSILON = 0.9, 0.999, 2e-4, 1e-8


def layers(key, sizes):
    result = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        key, of_weight, of_bias = jax.random.split(key, 3)
        bound = inputs ** -0.5
        result.append((jax.random.uniform(of_weight, (inputs, outputs), minval=-bound, maxval=bound),
                       jax.random.uniform(of_bias, (outputs,), minval=-bound, maxval=bound)))
    return result


def generate(network, latent):
    x = latent
    for weight, bias in network[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = network[-1]
    return jnp.tanh(x @ weight + bias)


def judge(network, x, key):
    for weight, bias in network[:-1]:
        key, of_mask = jax.random.split(key)
        x = jax.nn.leaky_relu(x @ weight + bias, 0.2)
        x = jnp.where(jax.random.bernoulli(of_mask, 0.5, x.shape), x * 2, 0)
    weight, bias = network[-1]
    return x @ weight + bias


def cross_entropy(logit, target):
    return jnp.mean(jnp.maximum(logit, 0) - logit * target + jnp.log1p(jnp.exp(-jnp.abs(logit))))


def adam(network, moments, gradient, t):
    first = jax.tree_util.tree_map(lambda m, g: BETA1 * m + (1 - BETA1) * g, moments[0], gradient)
    second = jax.tree_util.tree_map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, moments[1], gradient)
    network = jax.tree_util.tree_map(
        lambda w, m, v: w - RATE / (1 - BETA1 ** t) * m / (jnp.sqrt(v / (1 - BETA2 ** t)) + EPSILON),
        network, first, second)
    return network, (first, second)


def iteration(state, pixels, batch):
    d, g, moments_d, moments_g, key, step = state
    key, k0, k1, k2, k3, k4 = jax.random.split(key, 6)
    rows = jax.random.randint(k0, (batch,), 0, PATCHES)
    real = (pixels[rows].astype(jnp.float32) / 255 - 0.5) / 0.5
    fake = generate(g, jax.random.normal(k1, (batch, LATENT)))

    def loss_d(network):
        logit = judge(network, jnp.concatenate([real, fake]), k2)
        return cross_entropy(logit[:batch], 1.0) + cross_entropy(logit[batch:], 0.0)

    value_d, gradient = jax.value_and_grad(loss_d)(d)
    d, moments_d = adam(d, moments_d, gradient, step + 1)

    def loss_g(network):
        fakes = generate(network, jax.random.normal(k3, (batch, LATENT)))
        return cross_entropy(judge(d, fakes, k4), 1.0)

    value_g, gradient = jax.value_and_grad(loss_g)(g)
    g, moments_g = adam(g, moments_g, gradient, step + 1)
    return (d, g, moments_d, moments_g, key, step + 1), (value_d, value_g)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches", default="1,10,32,64,100,256")
    parser.add_argument("--seconds", type=float, default=2)
    options = parser.parse_args()
    platform = options.device.split(":")[0]
    if jax.default_backend() not in (platform, {"cuda": "gpu"}.get(platform)):
        print(f"gan_jax.py: skipped, this JAX runs on {jax.default_backend()} only", file=sys.stderr)
        sys.exit(77)
    run = jax.jit(iteration, static_argnums=2, donate_argnums=0)
    key = jax.random.PRNGKey(1)
    pixels = jax.random.randint(key, (PATCHES, PIXELS), 0, 256).astype(jnp.uint8)
    for batch in map(int, options.batches.split(",")):
        d = layers(key, [PIXELS, HIDDEN, HIDDEN, 1])
        g = layers(key, [LATENT, HIDDEN, HIDDEN, PIXELS])

        def moments(network):
            return tuple(jax.tree_util.tree_map(jnp.zeros_like, network) for _ in range(2))

        state = (d, g, moments(d), moments(g), key, 0.0)
        # Mean losses of D and G over iterations 17 to 32.
        pairs = []
        for _ in range(32):
            state, losses = run(state, pixels, batch)
            pairs.append([float(loss) for loss in losses])
        early = [statistics.mean(values) for values in zip(*pairs[16:])]
        times, start = [], time.perf_counter()
        while len(times) < 5 or time.perf_counter() - start < options.seconds:
            before = time.perf_counter()
            for _ in range(20):
                state, losses = run(state, pixels, batch)
            jax.block_until_ready(losses)
            times.append((time.perf_counter() - before) / 20 * 1e3)
        times.sort()
        print(json.dumps({
            "bench": "gan_iteration", "program": f"JAX {jax.__version__}", "device": options.device,
            "batch": batch, "ms": statistics.median(times), "p5": times[len(times) // 20],
            "p95": times[-1 - len(times) // 20], "losses": early}), flush=True)


if __name__ == "__main__":
    main()
