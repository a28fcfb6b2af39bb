"""PyTorch's contestants: `torch_peer.py eager`, `torch_peer.py compile`, and on a GPU `torch_peer.py graphs`."""

import sys

import torch
import torch.nn.functional as F

import protocol
import torch_cartpole
from torch_common import GRAPHS, LML, compiled, dtype_of, given, lml_derivative, lml_of_solution, root, wait


class Problem:
    """The regression's loss: doc/equations.md (1) to (5), (10)."""

    def __init__(self, dtype, arrays, numbers):
        self.dtype = dtype_of(dtype)
        _, self.elites, self.iterations = numbers
        self.x, self.truth, self.noise, *self.start = (
            given(arrays[k]) for k in ("x", "truth", "noise", *(f"p{i}" for i in range(8))))

    def energy(self, p, y):
        b, n, _ = y.shape
        h = torch.cat([self.x.unsqueeze(1).expand(b, n, 1), y], 2).reshape(b * n, 2)
        for i in range(0, 6, 2):
            h = F.softplus(torch.addmm(p[i + 1], h, p[i]))
        return torch.addmm(p[7], h, p[6]).view(b, n)

    def loss(self, p, noise, lml):
        k, b = self.elites, self.x.shape[0]
        mu = torch.zeros(b, 1, 1, dtype=self.dtype)
        sigma = torch.full((b, 1, 1), 7.0, dtype=self.dtype)
        for t in range(self.iterations):
            y = torch.addcmul(mu, sigma, noise[t])
            f = self.energy(p, y)
            std, mean = torch.std_mean(f, -1, keepdim=True)
            w = lml((mean - f) / (std + 1e-6), k).unsqueeze(1)
            mu = torch.bmm(w, y) / k
            if t + 1 < self.iterations:
                sigma = (torch.bmm(w, (y - mu).square()) / k).sqrt()
        return F.mse_loss(mu.view(b, 1), self.truth)

    def check(self):
        self.reset()
        loss, norm = self.step(self.noise)
        out = {"loss": loss.detach().view(1), "norm": norm.view(1)}
        for i, (p, m) in enumerate(zip(self.params, self.moments())):
            out[f"p{i}"], out[f"m{i}"] = p.detach(), m
        return {k: v.to(self.dtype).cpu().numpy() for k, v in out.items()}

    def run(self, n):
        for _ in range(n):
            self.step(torch.randn(self.noise.shape, dtype=self.dtype))
        wait()


class Eager(Problem):
    """With autograd, clip_grad_norm_ and the fused Adam."""

    def __init__(self, *case, ready=True):
        super().__init__(*case)
        self.reset()

    def reset(self):
        self.params = [p.clone().requires_grad_() for p in self.start]
        self.optimizer = torch.optim.Adam(self.params, lr=1e-3, fused=True)

    def moments(self):
        return [self.optimizer.state[p]["exp_avg"] for p in self.params]

    def step(self, noise):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.params, noise, LML.apply)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.params, 1.0, foreach=True)
        self.optimizer.step()
        return loss, norm


class Compiled(Problem):
    """Loss, gradient, clipping and Adam as one compiled function: at B = 1 a fifth faster than a compiled loss with
    the rest in eager mode."""

    def __init__(self, *case, ready=True):
        super().__init__(*case)
        self.whole = compiled(self.update)
        self.reset()
        if ready:
            self.step(self.noise)

    def reset(self):
        self.params = [p.clone() for p in self.start]
        self.m, self.v = ([torch.zeros_like(p) for p in self.start] for _ in range(2))
        self.t = torch.zeros((), dtype=self.dtype)
        if GRAPHS:  # what is updated in place stays where it is, or no graph is made
            for p in [*self.params, *self.m, *self.v]:
                torch._dynamo.mark_static_address(p)

    def moments(self):
        return self.m

    def step(self, noise):
        if GRAPHS:
            torch.compiler.cudagraph_mark_step_begin()
        loss, norm, t = self.whole(self.params, self.m, self.v, self.t, noise)
        self.t = t.clone() if GRAPHS else t
        return loss, norm

    def update(self, params, m, v, t, noise):
        grads, loss = torch.func.grad_and_value(lambda p: self.loss(p, noise, lml_of_solution))(params)
        norm = torch.sqrt(sum((g * g).sum() for g in grads))
        factor = torch.clamp(1 / (norm + 1e-6), max=1)
        t = t + 1
        c1, c2 = 1 - 0.9**t, torch.sqrt(1 - 0.999**t)
        for p, g, a, b in zip(params, grads, m, v):
            g = g * factor
            a.mul_(0.9).add_(g, alpha=0.1)
            b.mul_(0.999).addcmul_(g, g, value=0.001)
            p.sub_(1e-3 / c1 * a / (b.sqrt() / c2 + 1e-8))
        return loss, norm, t


class SGEMM:
    """c = a b."""

    def __init__(self, dtype, arrays, numbers):
        self.a, self.b = given(arrays["a"]), given(arrays["b"])
        self.c = torch.empty(self.a.shape[0], self.b.shape[1], dtype=dtype_of(dtype))

    def check(self):
        self.run(1)
        return {"c": self.c.numpy()}

    def run(self, n):
        for _ in range(n):
            torch.mm(self.a, self.b, out=self.c)


class Projection:
    """LML and its derivative, without autograd's overhead."""

    compile = staticmethod(lambda f: f)

    def __init__(self, dtype, arrays, numbers):
        self.x, self.g = given(arrays["x"]), given(arrays["g"])
        self.k = numbers[0]
        self.both = self.compile(self.forward_backward)
        self.run(1)

    def forward_backward(self, x, g):
        _, y = root(x, self.k)
        return y, lml_derivative(y, g)

    def check(self):
        with torch.inference_mode():
            y, dx = self.both(self.x, self.g)
        return {"y": y.numpy(), "dx": dx.numpy()}

    def run(self, n):
        with torch.inference_mode():
            for _ in range(n):
                self.both(self.x, self.g)


class CompiledProjection(Projection):
    compile = staticmethod(compiled)


FUNCTIONS = {
    "exp": torch.exp, "log": torch.log, "log1p": torch.log1p, "expm1": torch.expm1, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "softplus": lambda x, out: F.softplus(x), "elu": lambda x, out: F.elu(x), "sin": torch.sin, "cos": torch.cos, "atan2": torch.atan2,
    "sqrt": torch.sqrt,
}


class Kernel:
    """A case that is a function of its inputs and of a buffer for its outputs."""

    compile = staticmethod(lambda f: f)

    def __init__(self, dtype, arrays, numbers):
        self.name = arrays.pop("name", None)
        self.x, self.numbers, self.out = {k: given(v) for k, v in arrays.items()}, numbers, {}
        self.f = self.compile(self.function)
        self.run(1)

    def check(self):
        self.run(1)
        return {k: v.detach().numpy() for k, v in self.y.items()}

    def run(self, n):
        with torch.inference_mode():
            for _ in range(n):
                self.y = self.f(self.x)


class Map(Kernel):
    def function(self, x):
        if not self.out:
            self.out["y"] = torch.empty_like(x["x"])
        y = FUNCTIONS[self.name](*x.values(), out=self.out["y"])
        return {"y": y}


class Normal(Kernel):
    def function(self, x):
        return {"y": torch.randn(1, self.numbers[0])}


class TopK(Kernel):
    def function(self, x):
        index = torch.topk(x["x"], self.numbers[0], largest=False, sorted=False).indices
        return {"y": torch.zeros_like(x["x"]).scatter_(1, index, 1.0)}


class Refit(Kernel):
    def function(self, x):
        b, n, d, k = self.numbers
        y, w = x["x"].view(b, n, d), x["w"].unsqueeze(1)
        mu = torch.bmm(w, y) / k
        sigma = (torch.bmm(w, (y - mu).square()) / k).sqrt()
        return {"mu": mu.view(b, d), "sigma": sigma.view(b, d)}


class CompiledRefit(Refit):
    compile = staticmethod(compiled)


def mean_of_net(p, h):
    for i in range(0, 6, 2):
        h = F.softplus(torch.addmm(p[i + 1], h, p[i]))
    return torch.addmm(p[7], h, p[6]).mean()


class Net(Kernel):
    """The mean of a net's outputs and its gradient with respect to the parameters."""

    mean = staticmethod(mean_of_net)

    def run(self, n):
        p = [self.x[f"p{i}"].requires_grad_() for i in range(8)]
        for _ in range(n):
            loss = self.mean(p, self.x["x"])
            grads = torch.autograd.grad(loss, p)
        self.y = {"loss": loss.view(1, 1)} | {f"m{i}": g.reshape(-1, g.shape[-1]) for i, g in enumerate(grads)}

    function = None


class CompiledNet(Net):
    mean = staticmethod(compiled(mean_of_net))


class Planner(Kernel):
    """The cross-entropy method over the forces of a plan for the cartpole; the answer's cost."""

    def function(self, x):
        k, horizon = self.numbers[0], x["noise"].shape[-1]
        mu, sigma = torch.zeros(horizon), torch.full((horizon,), 100.0)
        for noise in x["noise"]:
            u = torch.clamp(torch.addcmul(mu, sigma, noise), -100, 100)
            best = torch.topk(self.rollout(x["x0"], u), k, largest=False, sorted=False).indices
            u = u[best]
            sigma, mu = torch.std_mean(u, 0, correction=0)
        return {"cost": self.rollout(x["x0"], torch.clamp(mu, -100, 100).view(1, -1))}

    rollout = staticmethod(torch_cartpole.rollout)


class CompiledPlanner(Planner):
    rollout = staticmethod(compiled(torch_cartpole.rollout))


if __name__ == "__main__":
    compilable = {"regression": Compiled, "cartpole": torch_cartpole.Compiled}
    cases = {
        "eager": {
            "regression": Eager, "cartpole": torch_cartpole.Eager, "sgemm": SGEMM, "lml": Projection, "map": Map, "normal": Normal, "topk": TopK,
            "refit": Refit, "net": Net, "planner": Planner,
        },
        "compile": compilable | {"lml": CompiledProjection, "refit": CompiledRefit, "net": CompiledNet, "planner": CompiledPlanner},
        "graphs": compilable,
    }[sys.argv[1]]
    # Functions compiled for the last case's sizes would count against the limit of this one's recompilations.
    protocol.serve(cases, {"torch": torch.__version__}, torch._dynamo.reset)
