"""Named places where a test may kill or stop the process, so that crash safety is enumerated, not sampled.

Fault injection is the one reader of the environment beside `nasd.config`: it must work in every process of the
system, the evaluating child included, without a line of wiring that production would carry. Without `NASD_KILLPOINT`
a point costs one dictionary look-up.
"""

import os
import signal

# Every point of the source, exactly once each (tests/unit/test_killpoints.py holds both directions).
KILLPOINTS = (
    "leader.before_take",
    "leader.after_take",
    "leader.before_beat",
    "leader.after_beat",
    "leader.before_resign",
    "leader.after_resign",
    "planner.before_rebuild",
    "planner.after_rebuild",
    "planner.before_finished",
    "planner.after_finished",
    "planner.before_apply",
    "planner.after_apply",
    "planner.after_ring",
    "reaper.before_expire",
    "reaper.after_commit",
    "reaper.after_expire",
    "stager.before_ring",
    "stager.after_ring",
    "reporter.before_save",
    "reporter.after_save",
    "store.apply.after_fence",
    "store.apply.before_commit",
    "store.expire.before_commit",
    "worker.after_lease",
    "worker.before_spool",
    "worker.before_finish",
    "worker.after_finish",
    "worker.before_exchange",
    "worker.after_exchange",
    "worker.before_give_back",
    "worker.after_give_back",
)

_VARIABLE = "NASD_KILLPOINT"
_hits: dict[str, int] = {}  # of this process; only counted while the variable is set


def killpoint(name: str) -> None:
    """Die here if `NASD_KILLPOINT` is `name`, or `name@n` and this is the n-th time the process passes.

    `name@n:stop` sends SIGSTOP instead of SIGKILL: the process stands still here until somebody sends SIGCONT.
    """
    wanted = os.environ.get(_VARIABLE)
    if not wanted:
        return
    wanted, _, how = wanted.partition(":")
    point, _, nth = wanted.partition("@")
    if point != name:
        return
    _hits[name] = _hits.get(name, 0) + 1
    if _hits[name] == int(nth or 1):
        os.kill(os.getpid(), signal.SIGSTOP if how == "stop" else signal.SIGKILL)
