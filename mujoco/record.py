"""Records episodes of dm_control's cheetah-run and walker-walk: what models/env/mujoco must give again, bit by bit.

    python3 -m venv .venv-mujoco && echo '*' > .venv-mujoco/.gitignore
    .venv-mujoco/bin/pip install -r mujoco/requirements-python.txt
    .venv-mujoco/bin/python mujoco/record.py models/env/mujoco/testdata

writes TASK-VERSION.json. A record has the observation and reward of every 100th step, and a hash of all that came
before. The actions are `random`, from RandomState(seed + 1000), or `wave`, triangles of amplitude 1.3 that every
language computes alike.
"""

import ctypes
import ctypes.util
import hashlib
import json
import pathlib
import sys

import numpy as np

import mujoco
from dm_control.mujoco.wrapper.mjbindings import sizes

# dm_control 1.0.50 names nine fields which MuJoCo 4.0.0 has no more.
for struct in sizes.array_sizes.values():
    for field in [f for f in struct if f.startswith("flex")]:
        if not any(hasattr(t, field) for t in (mujoco.MjModel, mujoco.MjData)):
            del struct[field]

from dm_control import suite  # noqa: E402

EVERY = 100


def fingerprint():
    """A hash of the C library's sin, cos and pow, on which the last bits of an episode depend."""
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    for f, n in (("sin", 1), ("cos", 1), ("pow", 2)):
        getattr(libm, f).restype = ctypes.c_double
        getattr(libm, f).argtypes = [ctypes.c_double] * n
    h = hashlib.sha256()
    for i in range(2000):
        x = (i - 1000) / 256
        h.update(np.array([libm.sin(x), libm.cos(x), libm.pow(i / 2048, 1 + i / 4096)], "<f8").tobytes())
    return h.hexdigest()


def actions(kind, seed, steps, width):
    if kind == "random":
        return np.random.RandomState(seed + 1000).uniform(-1, 1, size=(steps, width))
    u = np.empty((steps, width))
    for t in range(steps):
        for j in range(width):
            phase = ((3 + j) * t + 17 * j) % 200
            u[t, j] = 1.3 * ((phase if phase <= 100 else 200 - phase) - 50) / 50
    return u


def flat(step):
    return np.concatenate([np.atleast_1d(v) for v in step.observation.values()])


def episode(domain, task, seed, kind):
    random = seed if seed < 2**32 else np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32])
    env = suite.load(domain, task, task_kwargs={"random": random})
    spec, step = env.action_spec(), env.reset()
    h, rewards, samples = hashlib.sha256(flat(step).astype("<f8").tobytes()), [], []
    record = {"seed": seed, "actions": kind, "first": flat(step).tolist()}
    for u in actions(kind, seed, 1000, spec.shape[0]):
        step = env.step(u)
        h.update(flat(step).astype("<f8").tobytes())
        rewards.append(float(step.reward))
        if len(rewards) % EVERY == 0:
            sample = {"step": len(rewards), "obs": flat(step).tolist(), "reward": rewards[-1], "sha256": h.hexdigest()}
            samples.append(sample)
    assert step.last() and step.discount == 1.0
    record |= {"samples": samples, "rewards_sha256": hashlib.sha256(np.array(rewards, "<f8").tobytes()).hexdigest()}
    record["return"] = sum(rewards)
    return record


def main(folder):
    for domain, task in (("cheetah", "run"), ("walker", "walk")):
        record = {
            "task": f"{domain}-{task}",
            "versions": {"mujoco": mujoco.__version__, "dm_control": "1.0.50", "numpy": np.__version__},
            "libm": fingerprint(),
            "episodes": [
                episode(domain, task, seed, kind)
                for seed, kind in ((0, "random"), (1, "random"), (2**32 - 1, "wave"), (2**40 + 12345, "wave"))
            ],
        }
        path = pathlib.Path(folder) / f"{domain}-{task}-{mujoco.__version__}.json"
        text = json.dumps(record, separators=(",", ":"))
        path.write_text(text.replace('{"step"', '\n{"step"').replace('{"seed"', '\n{"seed"') + "\n")
        print(path, [e["return"] for e in record["episodes"]])


if __name__ == "__main__":
    main(sys.argv[1])
