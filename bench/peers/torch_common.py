"""What PyTorch's contestants share: its configuration and LML."""

import math
import sys

import torch

import protocol

torch.set_num_threads(protocol.THREADS)
DEVICE = protocol.DEVICE
torch.set_default_device(DEVICE)
GRAPHS = sys.argv[1:] == ["graphs"]


def given(array):
    return torch.from_numpy(array).to(DEVICE)


def wait():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def dtype_of(name):
    return {"float32": torch.float32, "float64": torch.float64}[name]


def compiled(f):
    # On the CPU neither max_autotune nor cpp_wrapper is faster here.
    return torch.compile(f, fullgraph=True, dynamic=False, mode="reduce-overhead" if GRAPHS else None)


def root(x, k):
    """The nu with sum sigmoid(x + nu) = k along the last axis, and the sigmoids: Newton's method on the logarithm of
    the sum, as many steps as bring it to rounding for standardised x."""
    nu = math.log(k / (x.shape[-1] - k))
    y = torch.sigmoid(x + nu)
    for _ in range(3 if x.dtype == torch.float32 else 4):
        s = y.sum(-1, keepdim=True)
        nu = nu - torch.log(s / k) * s / (s - (y * y).sum(-1, keepdim=True))
        y = torch.sigmoid(x + nu)
    return nu, y


def lml_derivative(y, g):
    """The derivative of the solution, not of the way to it."""
    h = y - y * y
    return h * (g - (h * g).sum(-1, keepdim=True) / h.sum(-1, keepdim=True))


class LML(torch.autograd.Function):
    """The fastest form in eager mode."""

    @staticmethod
    def forward(ctx, x, k):
        _, y = root(x, k)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return lml_derivative(y, g), None


def lml_of_solution(x, k):
    """LML in differentiable operations, for torch.func and the compiler: sigmoid(x + nu(x)), nu(x) being linear with the
    derivative of the root, -h / sum h."""
    with torch.no_grad():
        at = x.detach()
        nu, y = root(at, k)
        h = y - y * y
        p = h / h.sum(-1, keepdim=True)
    return torch.sigmoid(x + nu - (p * (x - at)).sum(-1, keepdim=True))
