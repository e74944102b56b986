"""The population of a steady-state search: who is in it, who is dropped, who wins a tournament.

Sorting and crowding are pymoo's own functions; the loop around them is ours, because pymoo's replaces a whole
generation at a time. A fold over facts in learned order: the same facts give the same population.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan

import numpy as np
from numpy.typing import NDArray
from pymoo.operators.survival.rank_and_crowding.metrics import FunctionalDiversity, calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from nasd.domain.history import Fact
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective
from nasd.domain.scoring import on_scale

Standing = tuple[float, int, float]  # (violation, rank, -crowding): smaller wins

_SORTING = NonDominatedSorting()
# Equal rows: the first keeps its distance, the others get 0 and are dropped first.
_CROWDING = FunctionalDiversity(calc_crowding_distance, filter_out_duplicates=True)


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


class Population:
    """At most `capacity` members in the order in which they were learned.

    Attributes:
        n_results: trials that taught something about their architecture, members or not.
        n_lost: trials that taught nothing (failed, cancelled, or without a value for every objective).
    """

    def __init__(self, objectives: Sequence[Objective], *, capacity: int) -> None:
        self._objectives = tuple(objectives)
        self._capacity = capacity
        self._members: dict[TrialNumber, Member] = {}
        self._standings: list[Standing] | None = None
        self.n_results = 0
        self.n_lost = 0

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(self._members.values())

    def learn(self, fact: Fact) -> None:
        """Take in one fact, at once.

        A revision changes a member where it stands. One that was dropped earlier competes again with its new values;
        one whose revised values are no longer usable leaves, and its place is filled by the next result.
        """
        member = self._member(fact)
        if fact.kind == "result":
            self.n_results += member is not None
            self.n_lost += member is None
        if member is None:
            if self._members.pop(fact.trial, None) is not None:
                self._standings = None
            return
        self._members[fact.trial] = member  # a dict keeps the place of a key it has already
        self._standings = None
        if len(self._members) > self._capacity:
            del self._members[self._worst()]

    def standings(self) -> Sequence[Standing]:
        """(violation, rank, -crowding) of each member; the smaller wins. Kept until the next change."""
        if self._standings is None:
            self._standings = self._stand()
        return self._standings

    def _member(self, fact: Fact) -> Member | None:
        losses = tuple(each.sign * fact.values.get(each.name, nan) for each in self._objectives)
        if fact.state is State.INFEASIBLE:
            return Member(fact.trial, losses, fact.violation if fact.violation > 0 else inf)
        if fact.state in {State.COMPLETED, State.PRUNED}:
            if fact.violation > 0:
                return Member(fact.trial, losses, fact.violation)
            if all(isfinite(loss) for loss in losses):
                return Member(fact.trial, losses, 0.0)
        return None

    def _worst(self) -> TrialNumber:
        """Whom to drop: the most infeasible, else the most crowded of the last rank; of equals the oldest."""
        members = self.members
        violations = [member.violation for member in members]
        if max(violations) > 0:
            return members[int(np.argmax(violations))].number
        losses = self._losses(members)
        last = _SORTING.do(losses)[-1]
        crowding = _CROWDING.do(on_scale(losses[last], self._objectives))
        return members[int(last[np.argmin(crowding)])].number

    def _stand(self) -> list[Standing]:
        members = self.members
        standings: list[Standing] = [(member.violation, 0, 0.0) for member in members]
        feasible = [index for index, member in enumerate(members) if member.violation == 0]
        losses = self._losses([members[index] for index in feasible])
        for rank, front in enumerate(_SORTING.do(losses)):
            crowding = _CROWDING.do(on_scale(losses[front], self._objectives))
            for row, distance in zip(front, crowding, strict=True):
                standings[feasible[row]] = (0.0, rank, -float(distance))
        return standings

    def _losses(self, members: Sequence[Member]) -> NDArray[np.float64]:
        return np.array([member.losses for member in members], dtype=np.float64).reshape(-1, len(self._objectives))

    def to_json(self) -> dict[str, object]:
        """Exact; NaN and inf become null, which JSON can hold."""
        return {
            "numbers": list(self._members),
            "losses": [[_or_none(loss) for loss in member.losses] for member in self.members],
            "violations": [_or_none(member.violation) for member in self.members],
            "n_results": self.n_results,
            "n_lost": self.n_lost,
        }

    def load(self, state: Mapping[str, object]) -> None:
        """Become what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it was not written by this version.
        """
        numbers, losses, violations = (_list(state[key]) for key in ("numbers", "losses", "violations"))
        for number, row, violation in zip(numbers, losses, violations, strict=True):
            values = tuple(_number(loss, nan) for loss in _list(row))
            if len(values) != len(self._objectives):
                raise ValueError(f"member {number} has {len(values)} losses, not {len(self._objectives)}")
            trial = TrialNumber(int(_number(number, nan)))
            self._members[trial] = Member(trial, values, _number(violation, inf))
        self.n_results = int(_number(state["n_results"], nan))
        self.n_lost = int(_number(state["n_lost"], nan))


def _or_none(value: float) -> float | None:
    return value if isfinite(value) else None


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {type(value).__name__}")
    return value


def _number(value: object, missing: float) -> float:
    if value is None:
        return missing
    if not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {type(value).__name__}")
    return value
