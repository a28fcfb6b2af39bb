"""What JAX's contestants share: its configuration, LML and Adam."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

import protocol

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", protocol.DEVICE)
if protocol.DEVICE != "cpu":
    jax.config.update("jax_default_matmul_precision", "highest")  # float32, not TF32, as all contestants


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def lml(x, k):
    """y = sigmoid(x + nu) with sum y = k along the last axis. The root is found by Newton's method on the logarithm of
    the sum, the derivative is that of the solution."""
    n = x.shape[-1]
    nu = math.log(k / (n - k))
    for _ in range(3 if x.dtype == jnp.float32 else 4):  # to rounding on standardised costs
        y = jax.nn.sigmoid(x + nu)
        s = y.sum(-1, keepdims=True)
        nu = nu - jnp.log(s / k) * s / (y - y * y).sum(-1, keepdims=True)
    return jax.nn.sigmoid(x + nu)


def lml_forward(x, k):
    y = lml(x, k)
    return y, y


def lml_backward(k, y, g):
    h = y - y * y
    return (h * (g - (h * g).sum(-1, keepdims=True) / h.sum(-1, keepdims=True)),)


lml.defvjp(lml_forward, lml_backward)


def adam(params, grads, state, rate):
    m, v, t = state
    t = t + 1
    norm = jnp.sqrt(sum(jnp.sum(g * g) for g in grads))
    factor = jnp.minimum(1, 1 / (norm + 1e-6))
    grads = [g * factor for g in grads]
    m = [0.9 * a + 0.1 * g for a, g in zip(m, grads)]
    v = [0.999 * a + 0.001 * g * g for a, g in zip(v, grads)]
    c1, c2 = 1 - 0.9**t, jnp.sqrt(1 - 0.999**t)
    params = [p - (rate / c1) * a / (jnp.sqrt(b) / c2 + 1e-8) for p, a, b in zip(params, m, v)]
    return params, (m, v, t), norm


class Training:
    """Training steps of a loss (params, noise), with fresh noise each; a subclass has it, and the learning rate."""

    rate = 1e-3

    def __init__(self, dtype, arrays, ready=True):
        self.dtype = jnp.dtype(dtype)
        self.noise = jnp.asarray(arrays["noise"])
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
        if ready:
            self.run(1)

    def reset(self):
        self.params = [jnp.array(p) for p in self.start]
        zeros = lambda: [jnp.zeros(p.shape, self.dtype) for p in self.start]
        self.state = zeros(), zeros(), jnp.zeros((), self.dtype)

    def step(self, params, state, noise):
        loss, grads = jax.value_and_grad(self.loss)(params, noise)
        params, state, norm = adam(params, grads, state, self.rate)
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
