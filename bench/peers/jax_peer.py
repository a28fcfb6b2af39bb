"""JAX's contestant.

Of what was tried none is faster on the CPU: scan over the iterations (1.6 of the time), the first layer as an outer
product, the last as a sum, the rbg generator, XLA's oneDNN and XNNPACK options.
"""

import jax
import jax.numpy as jnp
import numpy as np

import protocol
from jax_cartpole import Cartpole
from jax_common import adam, lml


@jax.custom_jvp
def softplus(x):
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _(x, t):  # a tenth faster than what autodiff makes of the above or of jax.nn.softplus
    return softplus(x[0]), t[0] * jax.nn.sigmoid(x[0])


class Regression:
    """A training step of the regression: doc/equations.md (1) to (5), (10), (12), (13)."""

    def __init__(self, dtype, arrays, numbers):
        self.dtype = jnp.dtype(dtype)
        self.samples, self.elites, self.iterations = numbers
        self.x, self.truth, self.noise = (jnp.asarray(arrays[k]) for k in ("x", "truth", "noise"))
        self.start = [arrays[f"p{i}"] for i in range(8)]
        self.with_noise = jax.jit(self.step, donate_argnums=(0, 1))

        def with_key(params, state, key):
            key, sub = jax.random.split(key)
            noise = jax.random.normal(sub, self.noise.shape, self.dtype)
            params, state, loss, _ = self.step(params, state, noise)
            return params, state, loss, key

        self.with_key = jax.jit(with_key, donate_argnums=(0, 1))
        self.key = jax.random.key(1)
        self.reset()
        self.run(1)

    def reset(self):
        self.params = [jnp.array(p) for p in self.start]
        zeros = lambda: [jnp.zeros(p.shape, self.dtype) for p in self.start]
        self.state = zeros(), zeros(), jnp.zeros((), self.dtype)

    def energy(self, params, y):
        b, n, _ = y.shape
        h = jnp.concatenate([jnp.broadcast_to(self.x[:, None, :], (b, n, 1)), y], 2).reshape(b * n, 2)
        for i in range(0, 6, 2):
            h = softplus(h @ params[i] + params[i + 1])
        return (h @ params[6] + params[7]).reshape(b, n)

    def loss(self, params, noise):
        k, b = self.elites, self.x.shape[0]
        mu = jnp.zeros((b, 1, 1), self.dtype)
        sigma = jnp.full((b, 1, 1), 7, self.dtype)
        for t in range(self.iterations):
            y = mu + sigma * noise[t]
            f = self.energy(params, y)
            v = (f - f.mean(-1, keepdims=True)) / (f.std(-1, ddof=1, keepdims=True) + 1e-6)
            w = lml(-v, k)[:, :, None]
            mu = (w * y).sum(1, keepdims=True) / k
            if t + 1 < self.iterations:
                sigma = jnp.sqrt((w * jnp.square(y - mu)).sum(1, keepdims=True) / k)
        return jnp.square(mu.reshape(b, 1) - self.truth).mean()

    def step(self, params, state, noise):
        loss, grads = jax.value_and_grad(self.loss)(params, noise)
        params, state, norm = adam(params, grads, state)
        return params, state, loss, norm

    def check(self):
        self.reset()
        self.params, self.state, loss, norm = self.with_noise(self.params, self.state, self.noise)
        out = {"loss": loss.reshape(1), "norm": norm.reshape(1)}
        for i, p in enumerate(self.params):
            out[f"p{i}"], out[f"m{i}"] = p, self.state[0][i]
        return {k: np.asarray(v, self.dtype) for k, v in out.items()}

    def run(self, n):
        for _ in range(n):
            self.params, self.state, loss, self.key = self.with_key(self.params, self.state, self.key)
        jax.block_until_ready((self.params, loss))


class SGEMM:
    """c = a b."""

    def __init__(self, dtype, arrays, numbers):
        self.a, self.b = jnp.asarray(arrays["a"]), jnp.asarray(arrays["b"])
        self.product = jax.jit(jnp.matmul)
        self.run(1)

    def check(self):
        return {"c": np.asarray(self.product(self.a, self.b))}

    def run(self, n):
        for _ in range(n):
            c = self.product(self.a, self.b)
        c.block_until_ready()


class Projection:
    """LML and its derivative."""

    def __init__(self, dtype, arrays, numbers):
        self.x, self.g = jnp.asarray(arrays["x"]), jnp.asarray(arrays["g"])

        def both(x, g):
            y, back = jax.vjp(lambda x: lml(x, numbers[0]), x)
            return y, back(g)[0]

        self.both = jax.jit(both)
        self.run(1)

    def check(self):
        y, dx = self.both(self.x, self.g)
        return {"y": np.asarray(y), "dx": np.asarray(dx)}

    def run(self, n):
        for _ in range(n):
            out = self.both(self.x, self.g)
        jax.block_until_ready(out)


if __name__ == "__main__":
    protocol.serve({"regression": Regression, "cartpole": Cartpole, "sgemm": SGEMM, "lml": Projection}, {"jax": jax.__version__, "jaxlib": jax.lib.__version__})
