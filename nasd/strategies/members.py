"""Trials as the members of a population: what of a fact ranks them, and their exact form in a cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from operator import le

from nasd.domain.history import Fact
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective


@dataclass(frozen=True, slots=True)
class Member:
    """A trial as it was last learned.

    Attributes:
        losses: sign * value by objective; NaN where unknown, which only an infeasible one may have.
        violation: 0.0 when feasible; inf for an infeasible one of unknown size.
    """

    number: TrialNumber
    losses: tuple[float, ...]
    violation: float


def member_of(fact: Fact, objectives: Sequence[Objective]) -> Member | None:
    """The member that a fact makes; None where it taught nothing: lost, cancelled, or without a value for each."""
    losses = tuple([each.sign * fact.values.get(each.name, nan) for each in objectives])
    if fact.state is State.INFEASIBLE:
        return Member(fact.trial, losses, fact.violation if fact.violation > 0 else inf)
    if fact.state in {State.COMPLETED, State.PRUNED}:
        if fact.violation > 0:
            return Member(fact.trial, losses, fact.violation)
        if all(map(isfinite, losses)):
            return Member(fact.trial, losses, 0.0)
    return None


def beats(one: Member, other: Member) -> bool:
    """No worse in any loss and better in one; of two feasible members."""
    return one.losses != other.losses and all(map(le, one.losses, other.losses))


def members_to_json(members: Iterable[Member]) -> dict[str, object]:
    """Exact; NaN and inf become null, which JSON can hold."""
    kept = tuple(members)
    return {
        "numbers": [member.number for member in kept],
        "losses": [[_or_none(loss) for loss in member.losses] for member in kept],
        "violations": [_or_none(member.violation) for member in kept],
    }


def members_from_json(state: Mapping[str, object], n_objectives: int) -> Iterator[Member]:
    """What `members_to_json` wrote.

    Raises:
        ValueError, TypeError, KeyError: it was not written by this version.
    """
    numbers, losses, violations = (_list(state[key]) for key in ("numbers", "losses", "violations"))
    for number, row, violation in zip(numbers, losses, violations, strict=True):
        values = tuple(number_or(loss, nan) for loss in _list(row))
        if len(values) != n_objectives:
            raise ValueError(f"member {number} has {len(values)} losses, not {n_objectives}")
        yield Member(TrialNumber(int(number_or(number, nan))), values, number_or(violation, inf))


def number_or(value: object, missing: float) -> float:
    """A number read from JSON; `missing` for null.

    Raises:
        TypeError: neither.
    """
    if value is None:
        return missing
    if not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    return value


def _or_none(value: float) -> float | None:
    return value if isfinite(value) else None


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return value
