"""JAX's contestant.

Of what was tried none is faster on the CPU: scan over the iterations (1.6 of the time), the first layer as an outer
product, the last as a sum, the rbg generator, XLA's oneDNN and XNNPACK options.
"""

import jax
import jax.numpy as jnp
import numpy as np

import protocol
from jax_cartpole import Cartpole, rollout
from jax_common import Training, lml


@jax.custom_jvp
def softplus(x):
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _(x, t):  # a tenth faster than what autodiff makes of the above or of jax.nn.softplus
    return softplus(x[0]), t[0] * jax.nn.sigmoid(x[0])


class Regression(Training):
    """A training step of the regression: doc/equations.md (1) to (5), (10), (12), (13)."""

    def __init__(self, dtype, arrays, numbers, ready=True):
        self.samples, self.elites, self.iterations = numbers
        self.x, self.truth = (jnp.asarray(arrays[k]) for k in ("x", "truth"))
        super().__init__(dtype, arrays, ready)

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


FUNCTIONS = {
    "exp": jnp.exp, "log": jnp.log, "log1p": jnp.log1p, "expm1": jnp.expm1, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "softplus": softplus,
    "elu": jax.nn.elu, "sin": jnp.sin, "cos": jnp.cos, "atan2": jnp.arctan2, "sqrt": jnp.sqrt,
}


class Kernel:
    """A case that is a compiled function of its inputs."""

    def __init__(self, dtype, arrays, numbers):
        self.name = arrays.pop("name", None)
        self.x, self.numbers = {k: jnp.asarray(v) for k, v in arrays.items()}, numbers
        self.f = jax.jit(self.function)
        self.run(1)

    def check(self):
        return {k: np.asarray(v) for k, v in self.f(self.x).items()}

    def run(self, n):
        for _ in range(n):
            out = self.f(self.x)
        jax.block_until_ready(out)


class Map(Kernel):
    def function(self, x):
        return {"y": FUNCTIONS[self.name](*x.values())}


class Normal(Kernel):
    def __init__(self, dtype, arrays, numbers):
        super().__init__(dtype, {"key": jax.random.key(1)}, numbers)

    def function(self, x):
        key, sub = jax.random.split(x["key"])
        return {"y": jax.random.normal(sub, (1, self.numbers[0]), jnp.float32)}


class TopK(Kernel):
    def function(self, x):
        _, index = jax.lax.top_k(-x["x"], self.numbers[0])
        return {"y": jnp.put_along_axis(jnp.zeros_like(x["x"]), index, 1, axis=-1, inplace=False)}


class Refit(Kernel):
    def function(self, x):
        b, n, d, k = self.numbers
        y, w = x["x"].reshape(b, n, d), x["w"][:, :, None]
        mu = (w * y).sum(1, keepdims=True) / k
        sigma = jnp.sqrt((w * jnp.square(y - mu)).sum(1) / k)
        return {"mu": mu.reshape(b, d), "sigma": sigma}


class Net(Kernel):
    """The mean of a net's outputs and its gradient with respect to the parameters."""

    def function(self, x):
        def mean(p):
            h = x["x"]
            for i in range(0, 6, 2):
                h = softplus(h @ p[i] + p[i + 1])
            return (h @ p[6] + p[7]).mean()

        loss, grads = jax.value_and_grad(mean)([x[f"p{i}"] for i in range(8)])
        return {"loss": loss.reshape(1, 1)} | {f"m{i}": g.reshape(-1, g.shape[-1]) for i, g in enumerate(grads)}


class Planner(Kernel):
    """The cross-entropy method over the forces of a plan for the cartpole; the answer's cost."""

    def function(self, x):
        k, horizon = self.numbers[0], x["noise"].shape[-1]
        start = lambda n: tuple(jnp.full(n, v) for v in x["x0"][0])
        mu, sigma = jnp.zeros(horizon, jnp.float32), jnp.full(horizon, 100, jnp.float32)

        def iterate(carry, noise):
            mu, sigma = carry
            u = jnp.clip(mu + sigma * noise, -100, 100)
            _, best = jax.lax.top_k(-rollout(start(u.shape[0]), u.T), k)
            u = u[best]
            return (u.mean(0), u.std(0)), None

        (mu, _), _ = jax.lax.scan(iterate, (mu, sigma), x["noise"])
        return {"cost": rollout(start(1), jnp.clip(mu, -100, 100)[:, None])}


if __name__ == "__main__":
    cases = {
        "regression": Regression, "cartpole": Cartpole, "sgemm": SGEMM, "lml": Projection, "map": Map, "normal": Normal, "topk": TopK,
        "refit": Refit, "net": Net, "planner": Planner,
    }
    protocol.serve(cases, {"jax": jax.__version__, "jaxlib": jax.lib.__version__})
