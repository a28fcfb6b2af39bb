"""The line protocol between bench/suite and a peer: one process per contestant, commands on stdin, answers on stdout.

    setup KIND DTYPE FILE.npz [NUMBERS...]  make a case ready to run, compiled    ok
    check FILE.npz                          do it once, write what came out       ok
    run N                                   do it N times                         ok MILLISECONDS CPU_MILLISECONDS (of all N)
    versions                                                                      ok {"name": "version", ...}

KIND may be KIND.NAME: the class finds NAME in arrays["name"]. An answer is "ok ..." or "error MESSAGE" in one line. A
peer gives `cases`, from KIND to a class made with (dtype, arrays, numbers), with methods check() -> {name: array} and
run(n), which returns when all n are done. `fresh` is called before each setup.
"""

import json
import os
import sys
import time
import traceback

import numpy as np

DEVICE = os.environ.get("GODCEM_PEER_DEVICE", "cpu")  # cpu or cuda
THREADS = int(os.environ["OMP_NUM_THREADS"])  # bench/suite says how many


def serve(cases, versions, fresh=lambda: None):
    out = os.fdopen(os.dup(1), "w")  # whatever a library prints goes to stderr
    os.dup2(2, 1)
    case = None
    for line in sys.stdin:
        word, *args = line.split()
        answer = ""
        try:
            if word == "versions":
                answer = json.dumps(versions)
            elif word == "setup":
                kind, dtype, path, *numbers = args
                case = None  # the last case's memory is free before the next one's is taken
                fresh()
                kind, _, name = kind.partition(".")
                with np.load(path) as arrays:
                    case = cases[kind](dtype, dict(arrays) | ({"name": name} if name else {}), [int(n) for n in numbers])
            elif word == "check":
                np.savez(args[0], **case.check())
            elif word == "run":
                began = time.perf_counter(), time.process_time()
                case.run(int(args[0]))
                ended = time.perf_counter(), time.process_time()
                answer = " ".join(repr((b - a) * 1e3) for a, b in zip(began, ended))
            else:
                raise ValueError(f"unknown command {word!r}")
            print("ok", answer, file=out, flush=True)
        except Exception as e:  # the other side decides what it is worth
            traceback.print_exc()
            print("error", " ".join(f"{type(e).__name__}: {e}".split())[:500], file=out, flush=True)
