"""dm_control's side of bench/accept/mujoco: for each line "DOMAIN TASK SECONDS" it steps the task for about that time
and answers with one line of JSON. A line "DOMAIN TASK check N" gives N actions and a hash of the observations that they
lead to from seed 0.
"""

import hashlib
import json
import logging
import sys
import time
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import numpy as np  # noqa: E402

import mujoco  # noqa: E402
from dm_control.mujoco.wrapper.mjbindings import sizes  # noqa: E402

# dm_control 1.0.50 names nine fields which MuJoCo 4.0.0 has no more.
for struct in sizes.array_sizes.values():
    for field in [f for f in struct if f.startswith("flex")]:
        if not any(hasattr(t, field) for t in (mujoco.MjModel, mujoco.MjData)):
            del struct[field]

from dm_control import suite  # noqa: E402

loaded = {}


def load(domain, task):
    if (domain, task) not in loaded:
        env = suite.load(domain, task, task_kwargs={"random": 0})
        actions = list(np.random.RandomState(1000).uniform(-1, 1, size=(1000, env.action_spec().shape[0])))
        loaded[domain, task] = (env, actions)
    return loaded[domain, task]


def check(domain, task, n):
    env = suite.load(domain, task, task_kwargs={"random": 0})
    _, actions = load(domain, task)
    h = hashlib.sha256()
    step = env.reset()
    for u in actions[:n]:
        step = env.step(u)
        for v in step.observation.values():
            h.update(np.atleast_1d(v).astype("<f8").tobytes())
    return {"sha256": h.hexdigest(), "actions": np.concatenate(actions[:n]).tolist()}


def measure(domain, task, seconds):
    env, actions = load(domain, task)
    steps, cpu, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        env.reset()
        for u in actions:
            env.step(u)
        steps += len(actions)
    return {"steps": steps, "seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


versions = {"mujoco": mujoco.__version__, "numpy": np.__version__, "python": sys.version.split()[0]}
print(json.dumps(versions), flush=True)
for line in sys.stdin:
    domain, task, what, *rest = line.split()
    answer = check(domain, task, int(rest[0])) if what == "check" else measure(domain, task, float(what))
    print(json.dumps(answer), flush=True)
