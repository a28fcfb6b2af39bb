"""The first training step of a fresh process: `cold.py torch|compile|jax FILE.npz SAMPLES ELITES ITERATIONS` prints its loss."""

import sys


def main(name, file, *numbers):
    if name == "jax":
        import jax_peer

        case = jax_peer.Regression
    else:
        sys.argv[1:] = [{"torch": "eager"}.get(name, name)]
        import torch_peer

        case = {"torch": torch_peer.Eager, "compile": torch_peer.Compiled}[name]
    import numpy as np

    with np.load(file) as arrays:
        dtype = str(arrays["x"].dtype)
        case = case(dtype, dict(arrays), [int(n) for n in numbers], ready=False)
    print(float(case.check()["loss"][0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
