"""The attack steps of bench/attack_steps.cpp in JAX: one jit of the whole attack, its steps in a loop of XLA's.
--network: the victim's text."""

import peer
from chain_jax import Chain, prepare

PIXELS, EPSILON = 7500, 8 / 255


def main():
    options, jax, jnp = prepare(__doc__)
    chain = Chain(jax, options.network[0])
    weights = chain.initialise(jax.random.PRNGKey(1))

    def attack(weights, origin, label, steps, alpha):
        low, high = jnp.maximum(origin - EPSILON, 0), jnp.minimum(origin + EPSILON, 1)

        def loss(x):
            scores = jax.nn.log_softmax(chain.run(weights, 2 * x - 1))
            return -jnp.sum(jnp.take_along_axis(scores, label[:, None], 1))

        def step(_, x):
            return jnp.clip(x + alpha * jnp.sign(jax.grad(loss)(x)), low, high)

        return jax.lax.fori_loop(0, steps, step, origin)

    jitted = jax.jit(attack, static_argnums=(3, 4))

    def build(batch):
        origin = jax.random.randint(jax.random.PRNGKey(2), (batch, PIXELS), 0, 256).astype(jnp.float32) / 255
        label = jnp.zeros((batch,), jnp.int32)
        methods = {}
        for method, steps, alpha in (("fgsm", 1, EPSILON), ("pgd-40", 40, 2.5 * EPSILON / 40)):
            def run(count, steps=steps, alpha=alpha):
                x = None
                for _ in range(count):
                    x = jitted(weights, origin, label, steps, alpha)
                jax.block_until_ready(x)
            methods[method] = (run, steps)
        return methods, {}

    peer.serve(f"JAX {jax.__version__}", 1 if options.device == "cpu" else 20, build)


if __name__ == "__main__":
    main()
