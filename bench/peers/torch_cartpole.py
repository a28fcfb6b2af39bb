"""PyTorch's training step of a decoder whose latent space is searched for plans of a cartpole."""

import torch
import torch.nn.functional as F

from torch_common import LML, compiled, dtype_of, given, lml_of_solution, wait


def stage_cost(x, u):
    return 0.1 * x[0].square() + 1e-5 * u.square() - x[2]


def move(x, u):
    """A step of models/env/cartpole.go, on the five elements of the state, each (rows). The decoder's forces are within
    their bounds."""
    pos, vel, cos, sin, spin = x
    all, ml = 1.1, 0.1 * 0.5
    f = (u + ml * spin.square() * sin) / all
    inertia = 0.5 * (4 / 3 - (0.1 / all) * cos.square())
    ddth = (9.8 * sin - cos * f) / inertia
    ddx = f - (ml / all) * ddth * cos
    r = torch.sqrt(cos.square() + sin.square())
    cos, sin = cos / r, sin / r
    turn = 0.05 * spin
    c, s = torch.cos(turn), torch.sin(turn)
    return (pos + 0.05 * vel, vel + 0.05 * ddx, cos * c - sin * s, sin * c + cos * s, spin + 0.05 * ddth)


def decode(p, z):
    for i in range(0, 6, 2):
        z = F.elu(torch.addmm(p[i + 1], z, p[i]))
    return 200 * torch.sigmoid(torch.addmm(p[7], z, p[6])) - 100


def rollout(x0, u):
    """The costs (B, N) of plans u (B N, H) from states x0 (B, 5)."""
    b, rows, u = x0.shape[0], u.shape[0], u.t().contiguous().unbind(0)
    x = tuple(v.repeat_interleave(rows // b) for v in x0.unbind(1))
    cost = stage_cost(x, u[0])
    for t in range(1, len(u)):
        x = move(x, u[t - 1])
        cost = cost + stage_cost(x, u[t])
    return cost if b == 1 else cost.view(b, -1)


def costs(p, x0, z):
    """The costs (B, N) of candidates z (B, N, D) from states x0 (B, 5)."""
    b, n, d = z.shape
    return rollout(x0, decode(p, z.reshape(b * n, d))).view(b, n)


def iterate(p, x0, mu, sigma, noise, k, lml):
    """One iteration: the next mu and sigma (B, 1, D)."""
    y = torch.clamp(torch.addcmul(mu, sigma, noise), -1, 1)
    f = costs(p, x0, y)
    std, mean = torch.std_mean(f, -1, keepdim=True)
    w = lml((mean - f) / (std + 1e-6), k).unsqueeze(1)
    mu = torch.bmm(w, y) / k
    return mu, (torch.bmm(w, (y - mu).square()) / k).sqrt()


def end(p, x0, mu):
    return costs(p, x0, torch.clamp(mu, -1, 1)).mean()


class Eager:
    """With autograd, clip_grad_norm_ and the fused Adam."""

    iterate, end, lml = staticmethod(iterate), staticmethod(end), LML.apply

    def __init__(self, dtype, arrays, numbers):
        self.dtype = dtype_of(dtype)
        _, self.elites, self.iterations, _ = numbers
        self.x0, self.noise, *self.start = (given(arrays[k]) for k in ("x0", "noise", *(f"p{i}" for i in range(8))))
        self.reset()
        self.run(1)

    def reset(self):
        self.params = [p.clone().requires_grad_() for p in self.start]
        self.optimizer = torch.optim.Adam(self.params, lr=5e-4, fused=True)

    def loss(self, noise):
        b, d = self.x0.shape[0], noise.shape[-1]
        mu, sigma = torch.zeros(b, 1, d, dtype=self.dtype), torch.full((b, 1, d), 0.5, dtype=self.dtype)
        for t in range(self.iterations):
            mu, sigma = self.iterate(self.params, self.x0, mu, sigma, noise[t], self.elites, self.lml)
        return self.end(self.params, self.x0, mu)

    def step(self, noise):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(noise)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.params, 1.0, foreach=True)
        self.optimizer.step()
        return loss, norm

    def check(self):
        self.reset()
        loss, norm = self.step(self.noise)
        out = {"loss": loss.detach().view(1), "norm": norm.view(1)}
        for i, p in enumerate(self.params):
            out[f"p{i}"], out[f"m{i}"] = p.detach(), self.optimizer.state[p]["exp_avg"]
        return {k: v.to(self.dtype).cpu().numpy() for k, v in out.items()}

    def run(self, n):
        for _ in range(n):
            self.step(torch.randn(self.noise.shape, dtype=self.dtype))
        wait()


CHUNK = 5  # steps of a rollout in a compiled function


def sample(mu, sigma, noise):
    return torch.clamp(torch.addcmul(mu, sigma, noise), -1, 1)


def refit(f, y, k):
    """What iterate does with the costs f of candidates y."""
    std, mean = torch.std_mean(f, -1, keepdim=True)
    w = lml_of_solution((mean - f) / (std + 1e-6), k).unsqueeze(1)
    mu = torch.bmm(w, y) / k
    return mu, (torch.bmm(w, (y - mu).square()) / k).sqrt()


def advance(x, cost, u, after):
    """The states after forces u, and the costs with those of each step, whose forces are `after`."""
    for a, b in zip(u, after):
        x = move(x, a)
        cost = cost + stage_cost(x, b)
    return x, cost


class Compiled(Eager):
    """The decoder, CHUNK steps of a rollout, and what comes before and after are compiled functions, forward and backward;
    the loops and Adam are not. Compiling time grows faster than what is unrolled: a whole iteration with its 20 steps as
    one function was not compiled after half an hour."""

    sample, decode, advance, refit = map(staticmethod, map(compiled, (sample, decode, advance, refit)))

    def costs(self, p, z):
        b, n, d = z.shape
        u = self.decode(p, z.reshape(b * n, d)).t().contiguous().unbind(0)
        x = tuple(v.repeat_interleave(n) for v in self.x0.unbind(1))
        cost = stage_cost(x, u[0])
        for t in range(0, len(u) - 1, CHUNK):
            x, cost = self.advance(x, cost, u[t : min(t + CHUNK, len(u) - 1)], u[t + 1 : t + 1 + CHUNK])
        return cost.view(b, n)

    def iterate(self, p, x0, mu, sigma, noise, k, lml):
        y = self.sample(mu, sigma, noise)
        return self.refit(self.costs(p, y), y, k)

    def end(self, p, x0, mu):
        return self.costs(p, torch.clamp(mu, -1, 1)).mean()
