"""JAX's training step of a decoder whose latent space is searched for plans of a cartpole.

Rollouts are a lax.scan over their steps. Slower or no faster were, in single runs: the scan unrolled by 2, 4 or 20 (1.1, 1.3 and 1.5 of the time, and
minutes to compile), without jax.checkpoint (1.05 to 1.25), a backward scan written by hand (1.0 to 1.1), costs summed outside the scan (1.0), states
stacked in one array, a scan over the iterations, jax.nn.elu; and of XLA's options one thread for each operation, another scheduler, no fusion emitters
(1.3), vectors of 512 bits (1.2), fast mathematics, Eigen's products.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jax_common import Training, lml


@jax.custom_jvp
def elu(x):
    return jnp.where(x > 0, x, jnp.expm1(jnp.minimum(x, 0)))


@elu.defjvp
def _(x, t):  # from the value, as jax.nn.elu's is not
    y = elu(x[0])
    return y, t[0] * jnp.where(x[0] > 0, 1, y + 1)


def stage_cost(x, u):
    return 0.1 * jnp.square(x[0]) + 1e-5 * jnp.square(u) - x[2]


def move(x, u):
    """A step of models/env/cartpole.go, on the five elements of the state, each (rows). The decoder's forces are within
    their bounds."""
    pos, vel, cos, sin, spin = x
    all, ml = 1.1, 0.1 * 0.5
    f = (u + ml * jnp.square(spin) * sin) / all
    inertia = 0.5 * (4 / 3 - 0.1 * jnp.square(cos) / all)
    ddth = (9.8 * sin - cos * f) / inertia
    ddx = f - ml * ddth * cos / all
    r = jnp.sqrt(jnp.square(cos) + jnp.square(sin))
    cos, sin = cos / r, sin / r
    c, s = jnp.cos(0.05 * spin), jnp.sin(0.05 * spin)
    return (pos + 0.05 * vel, vel + 0.05 * ddx, cos * c - sin * s, sin * c + cos * s, spin + 0.05 * ddth)


def rollout(x0, u):
    """The costs (rows) of plans u (H, rows) from states x0, five of (rows)."""

    @jax.checkpoint
    def body(carry, u):
        x, cost = carry
        return (move(x, u), cost + stage_cost(x, u)), None

    (x, cost), _ = jax.lax.scan(body, (x0, jnp.zeros_like(u[0])), u[:-1])
    return cost + stage_cost(x, u[-1])


class Cartpole(Training):
    rate = 5e-4

    def __init__(self, dtype, arrays, numbers):
        self.samples, self.elites, self.iterations, self.horizon = numbers
        self.x0 = jnp.asarray(arrays["x0"])
        super().__init__(dtype, arrays)

    def decode(self, params, z):
        for i in range(0, 6, 2):
            z = elu(z @ params[i] + params[i + 1])
        return 200 * jax.nn.sigmoid(params[6].T @ z.T + params[7][:, None]) - 100

    def costs(self, params, z):
        b, n, d = z.shape
        x0 = tuple(jnp.repeat(self.x0[:, i], n) for i in range(5))
        return rollout(x0, self.decode(params, z.reshape(b * n, d))).reshape(b, n)

    def loss(self, params, noise):
        k, (b, d) = self.elites, (self.x0.shape[0], noise.shape[-1])
        mu = jnp.zeros((b, 1, d), self.dtype)
        sigma = jnp.full((b, 1, d), 0.5, self.dtype)

        def iterate(carry, noise):
            mu, sigma = carry
            y = jnp.clip(mu + sigma * noise, -1, 1)
            f = self.costs(params, y)
            v = (f - f.mean(-1, keepdims=True)) / (f.std(-1, ddof=1, keepdims=True) + 1e-6)
            w = lml(-v, k)[:, :, None]
            mu = (w * y).sum(1, keepdims=True) / k
            return (mu, jnp.sqrt((w * jnp.square(y - mu)).sum(1, keepdims=True) / k)), None

        (mu, _), _ = jax.lax.scan(iterate, (mu, sigma), noise, unroll=True)
        return self.costs(params, jnp.clip(mu, -1, 1)).mean()
