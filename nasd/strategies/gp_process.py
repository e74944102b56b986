"""The process in which Optuna's Gaussian processes run, since they import torch: one JSON line in, one out.

    {"axes": [[name, kind, low, high, is_log], ...], "finished": [[numbers, losses, violation], ...],
     "running": [numbers, ...], "seed": 1}
    -> {"numbers": {...}}, {"failed": "..."} where the model can't be computed, {"error": "..."} for anything else

An answer is a function of its line: nothing is kept between two. It leaves when its input ends or its parent is gone,
also in the middle of an answer.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import Any

_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
_LOOK_S = 1.0  # how often it is seen whether the parent is still there


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it ends this process
    replies = os.fdopen(os.dup(_OUTPUT), "w")
    os.dup2(_ERRORS, _OUTPUT)  # what a library prints must not come between answers
    requests: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests, os.getppid()), daemon=True, name="input").start()
    while True:
        replies.write(json.dumps(_guarded(requests.get())) + "\n")
        replies.flush()


def answer(request: Mapping[str, Any]) -> dict[str, float]:
    """The parameters that the sampler suggests.

    Source: Optuna's GPSampler: LogEHVI, and its q-batch form with trials in flight (Daulton et al. 2020, arXiv
    2006.05078; Ament et al. 2023, arXiv 2310.20708).
    """
    import optuna

    from nasd.strategies.optuna_study import distributions_of, finished, running, study_of, suggestion
    from nasd.strategies.optuna_view import Axis

    distributions = distributions_of(Axis(*axis) for axis in request["axes"])
    rows = [finished(x, distributions, losses=losses, violation=bad) for x, losses, bad in request["finished"]]
    rows += [running(numbers, distributions) for numbers in request["running"]]
    sampler = optuna.samplers.GPSampler(seed=request["seed"], n_startup_trials=0)
    return suggestion(study_of(rows, sampler, n_objectives=len(request["finished"][0][1])))


def _guarded(line: str) -> dict[str, object]:
    """The outermost seam of this process: what can't be computed is told from what went wrong."""
    try:
        return {"numbers": answer(json.loads(line))}
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        # numpy has a LinAlgError and torch another, which may not be named here: this package must not import torch
        kind = "failed" if type(error).__name__.endswith("LinAlgError") else "error"
        return {kind: f"{type(error).__name__}: {error}"}


def _listen(requests: SimpleQueue[str], parent: int) -> None:
    for line in _lines(parent):
        requests.put(line)
    os._exit(0)


def _lines(parent: int) -> Iterator[str]:
    """Lines of the input, until it ends or the parent is gone."""
    kept = b""
    while os.getppid() == parent:
        if select.select([_INPUT], [], [], _LOOK_S)[0]:
            read = os.read(_INPUT, 1 << 16)
            if not read:
                return
            *lines, kept = (kept + read).split(b"\n")
            yield from (line.decode() for line in lines)


if __name__ == "__main__":
    main()
