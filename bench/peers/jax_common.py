"""What JAX's contestants share: its configuration, LML and Adam."""

import functools
import math

import jax
import jax.numpy as jnp

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


def adam(params, grads, state, rate=1e-3):
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
