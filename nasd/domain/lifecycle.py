"""The states of an evaluation and of a trial, as data. Everything about transitions lives here.

The schema's CHECKs, the SQL functions and a Hypothesis state machine say the same thing
(tests/contract/test_lifecycle_sql.py, tests/property/test_lifecycle.py).
"""

from collections.abc import Iterable
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Of an evaluation; a trial's state is a fold over its evaluations' states."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    PRUNED = "pruned"
    INFEASIBLE = "infeasible"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What happens to an evaluation."""

    LEASED = "leased"
    MEASURED = "measured"
    STOPPED_EARLY = "stopped_early"
    CANDIDATE_FAULT = "candidate_fault"
    WORLD_FAULT = "world_fault"  # with attempts left
    ATTEMPTS_SPENT = "attempts_spent"  # the world's fault, none left
    DRAINED = "drained"
    CANCELLED = "cancelled"


FINAL = frozenset({State.COMPLETED, State.PRUNED, State.INFEASIBLE, State.FAILED, State.CANCELLED})

TRANSITIONS = MappingProxyType(
    {
        (State.QUEUED, Event.LEASED): State.RUNNING,
        (State.QUEUED, Event.CANCELLED): State.CANCELLED,
        (State.QUEUED, Event.MEASURED): State.COMPLETED,  # a late result of the newest attempt: it is paid for
        (State.QUEUED, Event.STOPPED_EARLY): State.PRUNED,
        (State.QUEUED, Event.CANDIDATE_FAULT): State.INFEASIBLE,
        (State.RUNNING, Event.MEASURED): State.COMPLETED,
        (State.RUNNING, Event.STOPPED_EARLY): State.PRUNED,
        (State.RUNNING, Event.CANDIDATE_FAULT): State.INFEASIBLE,
        (State.RUNNING, Event.WORLD_FAULT): State.QUEUED,
        (State.RUNNING, Event.ATTEMPTS_SPENT): State.FAILED,
        (State.RUNNING, Event.DRAINED): State.QUEUED,
        (State.RUNNING, Event.CANCELLED): State.CANCELLED,
    }
)


def after(state: State, event: Event) -> State:
    """The state that `event` leads to.

    Raises:
        ValueError: no such transition; nothing about the evaluation may change then.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise ValueError(f"an evaluation that is {state} can't be {event}") from None


# A trial with several final evaluations takes the first of these that occurs among them.
FOLD_ORDER = (State.INFEASIBLE, State.FAILED, State.CANCELLED, State.PRUNED, State.COMPLETED)

# One of these settles the whole trial: what its siblings still have to do is cancelled.
SETTLES_TRIAL = frozenset({State.INFEASIBLE, State.FAILED})


def fold(states: Iterable[State]) -> State:
    """A trial's state from its evaluations' states.

    QUEUED while nothing was begun, RUNNING until every evaluation is final, then the first of FOLD_ORDER that occurs.
    An evaluation in SETTLES_TRIAL settles the trial at once (its siblings are cancelled in the same transaction).

    Raises:
        ValueError: no states; a trial has at least one evaluation.
    """
    seen = set(states)
    if not seen:
        raise ValueError("a trial has at least one evaluation")
    if seen & SETTLES_TRIAL or seen <= FINAL:
        return next(state for state in FOLD_ORDER if state in seen)
    return State.QUEUED if seen == {State.QUEUED} else State.RUNNING
