"""The population of a steady-state search: who is in it, who is dropped, who wins a tournament.

Sorting and crowding are pymoo's own functions; the loop around them is ours, because pymoo's replaces a whole
generation at a time. A fold over facts in learned order: the same facts give the same population.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from operator import le

import numpy as np
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from nasd.domain.history import Fact
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective
from nasd.domain.scoring import on_scale

_SORTING = NonDominatedSorting()


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
        self._ranks: dict[TrialNumber, int] | None = None  # of the feasible ones; None: not sorted since the change
        self._crowding: dict[int, dict[TrialNumber, float]] = {}  # by rank, each where it was asked for
        self.n_results = 0
        self.n_lost = 0

    def __len__(self) -> int:
        return len(self._members)

    @property
    def numbers(self) -> tuple[TrialNumber, ...]:
        """The members, in the order in which they were learned."""
        return tuple(self._members)

    def learn(self, fact: Fact) -> None:
        """Take in one fact, at once.

        A revision changes a member where it stands. One that was dropped earlier competes again with its new values;
        one whose revised values are no longer usable leaves, and its place is filled by the next result.
        """
        member = self._member(fact)
        if fact.kind == "result":
            self.n_results += member is not None
            self.n_lost += member is None
        if fact.trial not in self._members and (member is None or self._is_last(member)):
            return
        self._ranks, self._crowding = None, {}
        if member is None:
            del self._members[fact.trial]
            return
        self._members[fact.trial] = member  # a dict keeps the place of a key it has already
        if len(self._members) > self._capacity:
            self._drop(self._worst())

    def winner(self, first: TrialNumber, second: TrialNumber) -> TrialNumber:
        """The better of two members by (violation, rank, crowding); `first` of equals."""
        violations = self._members[first].violation, self._members[second].violation
        if violations[0] != violations[1]:
            return first if violations[0] < violations[1] else second
        if violations[0] > 0:
            return first
        ranks = self._ranked()
        if ranks[first] != ranks[second]:
            return first if ranks[first] < ranks[second] else second
        crowding = self._crowding_in(ranks[first])
        return second if crowding[second] > crowding[first] else first

    def _member(self, fact: Fact) -> Member | None:
        losses = tuple([each.sign * fact.values.get(each.name, nan) for each in self._objectives])
        if fact.state is State.INFEASIBLE:
            return Member(fact.trial, losses, fact.violation if fact.violation > 0 else inf)
        if fact.state in {State.COMPLETED, State.PRUNED}:
            if fact.violation > 0:
                return Member(fact.trial, losses, fact.violation)
            if all(map(isfinite, losses)):
                return Member(fact.trial, losses, 0.0)
        return None

    def _is_last(self, member: Member) -> bool:
        """Whether a new result is plainly the one to drop: most are, later on, and this tells it without sorting.

        Behind a full population of feasible ones is an infeasible result, and one that a member of the last rank
        beats: that makes a rank of its own, alone, since it beats nobody. False where it takes a closer look.
        """
        ranks = self._ranks
        if ranks is None or len(ranks) < self._capacity:  # not sorted since the change; room, or an infeasible member
            return False
        if member.violation > 0:
            return True
        last = max(ranks.values())
        return any(rank == last and _beats(self._members[number], member) for number, rank in ranks.items())

    def _worst(self) -> TrialNumber:
        """Whom to drop: the most infeasible, else the most crowded of the last rank; of equals the oldest."""
        worst = max(self._members.values(), key=lambda member: member.violation)  # the first of equals
        if worst.violation > 0:
            return worst.number
        crowding = self._crowding_in(max(self._ranked().values()))
        return min(crowding, key=lambda each: crowding[each])  # the first of equals

    def _drop(self, number: TrialNumber) -> None:
        """One of the last rank, or an infeasible one, leaves: the ranks of the others stand."""
        del self._members[number]
        if self._ranks is not None and number in self._ranks:
            self._crowding.pop(self._ranks.pop(number), None)

    def _ranked(self) -> dict[TrialNumber, int]:
        if self._ranks is None:
            feasible = [member for member in self._members.values() if member.violation == 0]
            losses = np.array([member.losses for member in feasible], dtype=np.float64)
            fronts = _SORTING.do(losses.reshape(-1, len(self._objectives)))
            self._ranks = {feasible[row].number: rank for rank, front in enumerate(fronts) for row in front.tolist()}
        return self._ranks

    def _crowding_in(self, rank: int) -> dict[TrialNumber, float]:
        """Crowding distances within one rank, in the order in which its members were learned."""
        if rank not in self._crowding:
            ranks = self._ranked()
            numbers = [number for number in self._members if ranks.get(number) == rank]
            distances = crowding([self._members[number].losses for number in numbers], self._objectives)
            self._crowding[rank] = dict(zip(numbers, distances, strict=True))
        return self._crowding[rank]

    def to_json(self) -> dict[str, object]:
        """Exact; NaN and inf become null, which JSON can hold."""
        return {
            "numbers": list(self._members),
            "losses": [[_or_none(loss) for loss in member.losses] for member in self._members.values()],
            "violations": [_or_none(member.violation) for member in self._members.values()],
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


def _beats(one: Member, other: Member) -> bool:
    """No worse in any loss and better in one."""
    return one.losses != other.losses and all(map(le, one.losses, other.losses))


def crowding(rows: Sequence[tuple[float, ...]], objectives: Sequence[Objective]) -> list[float]:
    """Each row's crowding distance; of equal rows the first keeps its own and the others have 0, as in pymoo.

    pymoo's wrapper finds equal rows by all their distances, which takes as long as everything else here together.

    Args:
        rows: (n, m) finite losses; distances are taken on the objectives' scales.
    """
    distinct = list(dict.fromkeys(rows))
    if len(distinct) <= 2:
        distance = dict.fromkeys(distinct, inf)
    else:
        distances = calc_crowding_distance(on_scale(distinct, objectives)).tolist()
        distance = dict(zip(distinct, distances, strict=True))
    return [distance.pop(row, 0.0) for row in rows]


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
