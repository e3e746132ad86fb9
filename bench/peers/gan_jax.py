"""The GAN iteration of bench/iteration.cpp in JAX: one jit of the whole iteration with donated buffers.
--network: the generator's text, then the discriminator's."""


import peer
from chain_jax import Chain, adam, prepare, zero_moments

PIXELS, PATCHES, RATE = 7500, 4096, 2e-4


def main():
    options, jax, jnp = prepare(__doc__)
    generator, discriminator = (Chain(jax, text) for text in options.network)
    latent = generator.sizes[0][0]

    def cross_entropy(logit, target):
        return jnp.mean(jnp.maximum(logit, 0) - logit * target + jnp.log1p(jnp.exp(-jnp.abs(logit))))

    def iteration(state, pixels, batch):
        d, g, moments_d, moments_g, key, step = state
        key, k0, k1, k2, k3, k4 = jax.random.split(key, 6)
        rows = jax.random.randint(k0, (batch,), 0, PATCHES)
        real = (pixels[rows].astype(jnp.float32) / 255 - 0.5) / 0.5
        fake = generator.run(g, jax.random.normal(k1, (batch, latent)))

        def loss_d(weights):
            logit = discriminator.run(weights, jnp.concatenate([real, fake]), k2)
            return cross_entropy(logit[:batch], 1.0) + cross_entropy(logit[batch:], 0.0)

        value_d, gradient = jax.value_and_grad(loss_d)(d)
        d, moments_d = adam(jax, d, moments_d, gradient, step + 1, RATE)

        def loss_g(weights):
            fakes = generator.run(weights, jax.random.normal(k3, (batch, latent)))
            return cross_entropy(discriminator.run(d, fakes, k4), 1.0)

        value_g, gradient = jax.value_and_grad(loss_g)(g)
        g, moments_g = adam(jax, g, moments_g, gradient, step + 1, RATE)
        return (d, g, moments_d, moments_g, key, step + 1), (value_d, value_g)

    jitted = jax.jit(iteration, static_argnums=2, donate_argnums=0)
    key = jax.random.PRNGKey(1)
    pixels = jax.random.randint(key, (PATCHES, PIXELS), 0, 256).astype(jnp.uint8)

    def build(batch):
        held = {}

        def game(seed):
            keys = jax.random.split(jax.random.PRNGKey(seed), 3)
            d, g = discriminator.initialise(keys[0]), generator.initialise(keys[1])
            held["state"] = (d, g, zero_moments(jax, d), zero_moments(jax, g), keys[2], 0.0)
            while True:
                held["state"], losses = jitted(held["state"], pixels, batch)
                yield losses

        losses = peer.early_losses(game(seed).__next__ for seed in peer.SEEDS)

        def run(count):
            losses = None
            for _ in range(count):
                held["state"], losses = jitted(held["state"], pixels, batch)
            jax.block_until_ready(losses)

        return {"": (run, 1)}, {"losses": losses}

    peer.serve(f"JAX {jax.__version__}", 20, build)


if __name__ == "__main__":
    main()
