"""PyTorch's contestants: `torch_peer.py eager` and `torch_peer.py compile`."""

import math
import sys

import torch
import torch.nn.functional as F

import protocol

torch.set_num_threads(protocol.THREADS)
COMPILE = sys.argv[1:] == ["compile"]


def dtype_of(name):
    return {"float32": torch.float32, "float64": torch.float64}[name]


def compiled(f, **options):
    if not COMPILE:
        return f
    return torch.compile(f, fullgraph=True, dynamic=False, **options)


def lml(x, k, steps):
    """y = sigmoid(x + nu) with sum y = k along the last axis: Newton's method on the logarithm of the sum."""
    n = x.shape[-1]
    nu = math.log(k / (n - k))
    y = torch.sigmoid(x + nu)
    for _ in range(steps):
        s = y.sum(-1, keepdim=True)
        nu = nu - torch.log(s / k) * s / (s - (y * y).sum(-1, keepdim=True))
        y = torch.sigmoid(x + nu)
    return y


def lml_derivative(y, g):
    """The derivative of the solution, not of the way to it."""
    h = y - y * y
    return h * (g - (h * g).sum(-1, keepdim=True) / h.sum(-1, keepdim=True))


class LML(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k, steps):
        y = lml(x, k, steps)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return lml_derivative(y, g), None, None


def lml_steps(dtype):
    """Newton steps that bring the sum's error to rounding on standardised costs."""
    return 3 if dtype == torch.float32 else 4


class Regression:
    """A training step of the regression: doc/equations.md (1) to (5), (10), (12), (13)."""

    def __init__(self, dtype, arrays, numbers):
        self.dtype = dtype_of(dtype)
        self.samples, self.elites, self.iterations = numbers
        a = {k: torch.from_numpy(v) for k, v in arrays.items()}
        self.x, self.truth, self.noise = a["x"], a["truth"], a["noise"]
        self.params = [a[f"p{i}"].clone().requires_grad_() for i in range(8)]
        self.start = [p.detach().clone() for p in self.params]
        self.optimizer = torch.optim.Adam(self.params, lr=1e-3, fused=True)
        self.loss = compiled(self.forward)

    def energy(self, y):
        b, n, _ = y.shape
        h = torch.cat([self.x.unsqueeze(1).expand(b, n, 1), y], 2).reshape(b * n, 2)
        p = self.params
        for i in range(0, 6, 2):
            h = F.softplus(torch.addmm(p[i + 1], h, p[i]))
        return torch.addmm(p[7], h, p[6]).view(b, n)

    def forward(self, noise):
        k, b = self.elites, self.x.shape[0]
        mu = torch.zeros(b, 1, 1, dtype=self.dtype)
        sigma = torch.full((b, 1, 1), 7.0, dtype=self.dtype)
        for t in range(self.iterations):
            y = torch.addcmul(mu, sigma, noise[t])
            f = self.energy(y)
            std, mean = torch.std_mean(f, -1, keepdim=True)
            w = LML.apply((mean - f) / (std + 1e-6), k, lml_steps(self.dtype)).unsqueeze(1)
            mu = torch.bmm(w, y) / k
            if t + 1 < self.iterations:
                sigma = (torch.bmm(w, (y - mu).square()) / k).sqrt()
        return F.mse_loss(mu.view(b, 1), self.truth)

    def step(self, noise):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(noise)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.params, 1.0, foreach=True)
        self.optimizer.step()
        return loss, norm

    def check(self):
        with torch.no_grad():
            for p, q in zip(self.params, self.start):
                p.copy_(q)
        self.optimizer.state.clear()
        loss, norm = self.step(self.noise)
        out = {"loss": loss.detach().view(1), "norm": norm.view(1)}
        for i, p in enumerate(self.params):
            out[f"p{i}"] = p.detach()
            out[f"m{i}"] = self.optimizer.state[p]["exp_avg"]
        return {k: v.to(self.dtype).numpy() for k, v in out.items()}

    def run(self, n):
        for _ in range(n):
            self.step(torch.randn(self.noise.shape, dtype=self.dtype))


class SGEMM:
    """c = a b."""

    def __init__(self, dtype, arrays, numbers):
        self.a, self.b = torch.from_numpy(arrays["a"]), torch.from_numpy(arrays["b"])
        self.c = torch.empty(self.a.shape[0], self.b.shape[1], dtype=dtype_of(dtype))

    def check(self):
        self.run(1)
        return {"c": self.c.numpy()}

    def run(self, n):
        for _ in range(n):
            torch.mm(self.a, self.b, out=self.c)


class Projection:
    """LML and its derivative, without autograd's overhead."""

    def __init__(self, dtype, arrays, numbers):
        self.x, self.g = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["g"])
        self.k, self.steps = numbers[0], lml_steps(dtype_of(dtype))
        self.both = compiled(self.forward_backward)
        self.run(1)

    def forward_backward(self, x, g):
        y = lml(x, self.k, self.steps)
        return y, lml_derivative(y, g)

    def check(self):
        with torch.inference_mode():
            y, dx = self.both(self.x, self.g)
        return {"y": y.numpy(), "dx": dx.numpy()}

    def run(self, n):
        with torch.inference_mode():
            for _ in range(n):
                self.both(self.x, self.g)


if __name__ == "__main__":
    protocol.serve({"regression": Regression, "sgemm": SGEMM, "lml": Projection}, {"torch": torch.__version__})
