"""Evaluation functions as users write them: good ones, broken ones, and ones that take the process down."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def nothing(architecture, context):
    return {"cost": 1.0}


def arithmetic(architecture, context):
    return {"cost": float(architecture["x"]) + context.seed % 7}


def who(architecture, context):
    return {"cost": float(os.getpid())}


def with_secrets(architecture, context):
    return {"cost": float("NASD_DATABASE_URL" in os.environ)}


def without_torch(architecture, context):
    return {"cost": float("torch" in sys.modules)}


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


def ends_quietly(architecture, context):
    """Everything that a process can close, change or leave behind, and a good answer."""
    os.chdir("/")
    signal.alarm(1)
    sys.stdout.close()
    return {"cost": 1.0}


def closes_its_output(architecture, context):
    os.close(1)
    os.close(2)
    return {"cost": 1.0}


def leaves_children(architecture, context):
    """One in its own session, as daemons do."""
    here = Path(os.environ["USERS_PIDS"])
    plain = subprocess.Popen(["sleep", "300"])
    daemon = subprocess.Popen(["sleep", "300"], start_new_session=True)
    here.write_text(f"{plain.pid} {daemon.pid}")
    return {"cost": 1.0}


def returns_twice(architecture, context):
    """The forked copy returns as well, and answers what nobody asked."""
    return {"cost": 1.0 if os.fork() else 2.0}


def prints_for_ever(architecture, context):
    while True:
        os.write(1, b"x" * 65_536)


def prints_and_prints(architecture, context):
    for _ in range(300):
        print("x" * 65_536)
    return {"cost": 1.0}


def raises_the_unprintable(architecture, context):
    raise ValueError("a NUL \x00, half a character \ud800, and much " + "more " * 1_000_000)


def numbers_too_many(architecture, context):
    return {f"value {i}": 1.0 for i in range(10_000)} | {"cost": 1.0}


def a_broken_count(architecture, context):
    return {"cost": 1.0, "params": 12.5}


def reports_nan(architecture, context):
    context.report(1, {"cost": float("nan")})
    return {"cost": 1.0}


def stops_when_told(architecture, context):
    for step in range(1000):
        if context.report(step, {"cost": 100.0 - step}):
            return {"cost": 50.0}
        time.sleep(0.01)
    return {"cost": 0.0}


def goes_on(architecture, context):
    """Dies in its first attempt after five steps; the next one goes on from there."""
    state = context.restored or {"step": 0, "trace": np.zeros(3)}
    for step in range(state["step"], 10):
        context.checkpoint({"step": step + 1, "trace": state["trace"] + step, "notes": ["a", None]})
        state = context.restored
        if step == 4:
            os.kill(os.getpid(), signal.SIGKILL)
    return {"cost": float(state["trace"][2]), "steps": float(state["step"]), "notes": float(len(state["notes"]))}


def looks_around(architecture, context):
    split = context.data
    assert type(split.train_x).__module__ == "numpy"
    assert not any("test" in name for name in dir(split) if not name.startswith("_"))
    return {"cost": float(len(split.train_x)), "on_cpu": float(context.device == "cpu"), "steps": context.steps}


# Data


def load_raises():
    raise RuntimeError("the camera is off")


def load_leaves():
    os._exit(3)


def load_endless():
    while True:
        pass


# Metrics


def wrong_share(predictions, targets):
    return float(np.mean(predictions.argmax(axis=1) != targets))


def metric_raises(predictions, targets):
    raise RuntimeError("no such class")


def metric_nan(predictions, targets):
    return float("nan")


def metric_of_another_name(predictions, targets):
    return {"recall": 1.0}
