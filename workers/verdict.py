"""Whose fault was it? Classes an exception or the death of the evaluating child. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from nasd.domain.measurement import OutcomeKind
from nasd.errors import CandidateFault, FunctionError, UserError, WorldFault

_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}
)
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an evaluation without a result comes to; `reason` is a closed word."""

    kind: OutcomeKind
    reason: str
    message: str
    violation: float | None = None


def of_exception(error: BaseException, *, runs_users_code: bool) -> Verdict:
    """Class what an evaluation raised.

    A fault that names itself is believed. A function that can't be had says nothing of the architecture, and another
    machine may have it. Any other exception where the user's code took part is the candidate's fault; one of our own
    code is ours, and worth another attempt on another machine.
    """
    if isinstance(error, CandidateFault):
        return Verdict(OutcomeKind.INFEASIBLE, error.kind, str(error), error.violation)
    if isinstance(error, WorldFault):
        return Verdict(OutcomeKind.FAILED, error.kind, str(error))
    if isinstance(error, UserError):
        reason = error.reason if isinstance(error, FunctionError) else "unavailable"
        return Verdict(OutcomeKind.FAILED, reason, str(error))
    text = _sentence(error)
    if _ran_out_of_memory(error):
        return Verdict(OutcomeKind.INFEASIBLE, "out_of_memory", text)
    if runs_users_code:
        return Verdict(OutcomeKind.INFEASIBLE, "exception", text)
    return Verdict(OutcomeKind.FAILED, "internal", text)


def _sentence(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - users' exceptions may fail to describe themselves
        return type(error).__name__


def _ran_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in _sentence(error).lower() for words in _OUT_OF_MEMORY)


def of_death(returncode: int, *, runs_users_code: bool, oom_killed: bool) -> Verdict:
    """Class a child that died in an evaluation and was not killed by us.

    Args:
        returncode: as `subprocess` has it: -n for signal n.
        runs_users_code: a function of the user's took part in what it was doing.
        oom_killed: the kernel's counter of out-of-memory kills moved meanwhile.
    """
    if returncode >= 0:
        text = f"the evaluating process ended by itself with exit status {returncode}"
        kind = OutcomeKind.INFEASIBLE if runs_users_code else OutcomeKind.FAILED
        return Verdict(kind, "exited", text)
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    if -returncode in _CRASHES:
        return Verdict(OutcomeKind.INFEASIBLE, "crashed", f"the evaluating process crashed with {name}")
    if -returncode == signal.SIGKILL and oom_killed:
        return Verdict(
            OutcomeKind.INFEASIBLE, "out_of_memory", "the kernel killed the evaluating process to free memory"
        )
    return Verdict(OutcomeKind.FAILED, "child_killed", f"the evaluating process was killed from outside with {name}")


def over_time(limit_s: float) -> Verdict:
    """An evaluation that was killed at its time limit."""
    return Verdict(OutcomeKind.INFEASIBLE, "time_limit", f"not done after its limit of {limit_s:g} s")


def over_memory(used_mib: float, limit_mib: float) -> Verdict:
    """An evaluation that was killed at its memory limit; violation is the relative overshoot."""
    return Verdict(
        OutcomeKind.INFEASIBLE,
        "out_of_memory",
        f"used {used_mib:.0f} MiB of a limit of {limit_mib:.0f} MiB",
        max(used_mib / limit_mib - 1, 1e-6),
    )
