"""NumPy's and SciPy's contestant, for kernels: their BLAS has as many threads as all, their functions have one."""

import numpy as np
import scipy
import scipy.special

import protocol


class Kernel:
    """A case that is a function of its inputs and buffers."""

    def __init__(self, dtype, arrays, numbers):
        self.arrays, self.numbers = arrays, numbers
        self.setup()
        self.run(1)

    def setup(self):
        pass

    def run(self, n):
        for _ in range(n):
            self.one()


class SGEMM(Kernel):
    def setup(self):
        self.a, self.b = self.arrays["a"], self.arrays["b"]
        self.c = np.empty((self.a.shape[0], self.b.shape[1]), self.a.dtype)

    def one(self):
        np.matmul(self.a, self.b, out=self.c)

    def check(self):
        self.one()
        return {"c": self.c}


FUNCTIONS = {
    "exp": np.exp, "log": np.log, "log1p": np.log1p, "expm1": np.expm1, "tanh": np.tanh, "sigmoid": scipy.special.expit,
    "softplus": lambda x, out: np.logaddexp(x, np.zeros((), x.dtype), out=out), "sin": np.sin, "cos": np.cos, "atan2": np.arctan2, "sqrt": np.sqrt,
    "elu": lambda x, out: np.maximum(x, np.expm1(np.minimum(x, 0), out=out), out=out),
}


class Map(Kernel):
    def setup(self):
        self.f = FUNCTIONS[self.arrays["name"]]
        self.x = [self.arrays[k] for k in ("x", "x2") if k in self.arrays]
        self.y = np.empty_like(self.x[0])

    def one(self):
        self.f(*self.x, out=self.y)

    def check(self):
        self.one()
        return {"y": self.y}


class Normal(Kernel):
    def setup(self):
        self.rng = np.random.default_rng(1)

    def one(self):
        self.y = self.rng.standard_normal(self.numbers[0], dtype=np.float32)

    def check(self):
        return {"y": self.y.reshape(1, -1)}


class TopK(Kernel):
    def one(self):
        f, k = self.arrays["x"], self.numbers[0]
        self.y = np.zeros_like(f)
        np.put_along_axis(self.y, np.argpartition(f, k - 1, axis=-1)[:, :k], 1, axis=-1)

    def check(self):
        return {"y": self.y}


if __name__ == "__main__":
    protocol.serve({"sgemm": SGEMM, "map": Map, "normal": Normal, "topk": TopK}, {"numpy": np.__version__, "scipy": scipy.__version__})
