"""The classifier's training step of bench/classifier_step.cpp in JAX: one jit with donated buffers.
--network: its text."""

import peer
from chain_jax import Chain, adam, prepare, zero_moments

PIXELS, PATCHES, RATE = 7500, 4096, 1e-4


def main():
    options, jax, jnp = prepare(__doc__)
    chain = Chain(jax, options.network[0])

    def step(state, pixels, labels, batch):
        weights, moments, key, count = state
        key, of_rows, of_masks = jax.random.split(key, 3)
        rows = jax.random.randint(of_rows, (batch,), 0, PATCHES)
        x = (pixels[rows].astype(jnp.float32) / 255 - 0.5) / 0.5

        def loss_of(weights):
            scores = jax.nn.log_softmax(chain.run(weights, x, of_masks))
            return -jnp.mean(jnp.take_along_axis(scores, labels[rows][:, None], 1))

        loss, gradient = jax.value_and_grad(loss_of)(weights)
        weights, moments = adam(jax, weights, moments, gradient, count + 1, RATE)
        return (weights, moments, key, count + 1), loss

    jitted = jax.jit(step, static_argnums=3, donate_argnums=0)
    key = jax.random.PRNGKey(1)
    pixels = jax.random.randint(key, (PATCHES, PIXELS), 0, 256).astype(jnp.uint8)
    labels = jnp.arange(PATCHES) % 2

    def build(batch):
        weights = chain.initialise(key)
        held = {"state": (weights, zero_moments(jax, weights), jax.random.PRNGKey(3), 0.0)}

        def run(count):
            loss = None
            for _ in range(count):
                held["state"], loss = jitted(held["state"], pixels, labels, batch)
            jax.block_until_ready(loss)

        return {"": (run, 1)}, {}

    peer.serve(f"JAX {jax.__version__}", 20, build)


if __name__ == "__main__":
    main()
