"""Evaluation functions as users write them: good ones, broken ones, and ones that take the process down."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time


def nothing(architecture, context):
    return {"cost": 1.0}


def arithmetic(architecture, context):
    return {"cost": float(architecture["x"]) + context.seed % 7}


def who(architecture, context):
    return {"cost": float(os.getpid())}


def with_secrets(architecture, context):
    return {"cost": float("NASD_DATABASE_URL" in os.environ)}


def chatty(architecture, context):
    print("from python")
    sys.stderr.write("from stderr\n")
    ctypes.CDLL(None).puts(b"from C")
    os.write(1, b"x" * 200_000 + b"\n")
    print("the end")
    return {"cost": 1.0}


def raises(architecture, context):
    raise RuntimeError("no such layer")


def leaves(architecture, context):
    os._exit(3)


def exits(architecture, context):
    sys.exit("bad input")


def segfault(architecture, context):
    print("about to crash", flush=True)
    ctypes.string_at(0)


def abort(architecture, context):
    os.abort()


def killed(architecture, context):
    os.kill(os.getpid(), signal.SIGKILL)


def endless(architecture, context):
    while True:
        pass


def hog(architecture, context):
    blocks = []
    while True:
        blocks.append(bytearray(b"x") * (8 << 20))
        time.sleep(0.002)


def leak(architecture, context):
    sys.modules.setdefault("_leak", []).append(bytearray(b"x") * (4 << 20))
    return {"cost": float(os.getpid())}


def allocates_too_much(architecture, context):
    raise MemoryError


def not_finite(architecture, context):
    return {"cost": float("nan")}


def not_a_dict(architecture, context):
    return [1, 2]


def lacks_an_objective(architecture, context):
    return {"other": 1.0}


def steps(architecture, context):
    """A thousand steps of 10 ms that swallow every exception, as careless code does."""
    for step in range(1000):
        try:
            context.step(step, cost=100.0 - step)
            time.sleep(0.01)
        except Exception:  # noqa: BLE001
            continue
    return {"cost": 0.0}


def deaf(architecture, context):
    """Longer than anyone's patience, without a step boundary."""
    print(os.getpid(), flush=True)
    time.sleep(60)
    return {"cost": 0.0}


def brief(architecture, context):
    time.sleep(0.05)
    return {"cost": 0.0}


def long(architecture, context):
    time.sleep(1.05)
    return {"cost": 7.0}
