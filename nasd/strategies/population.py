"""The population of a steady-state search: who is in it, who is dropped, who wins a tournament.

Sorting is pymoo's own function; the loop around it is ours, because pymoo's replaces a whole generation at a time. A
fold over facts in learned order: the same facts give the same population.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

import numpy as np
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from nasd.domain.history import Fact
from nasd.domain.ids import TrialNumber
from nasd.domain.objective import Objective
from nasd.strategies.members import Member, beats, member_of, members_from_json, members_to_json, number_or
from nasd.strategies.worth import Worth, crowding

_SORTING = NonDominatedSorting()


class Population:
    """At most `capacity` members in the order in which they were learned.

    Attributes:
        n_results: trials that taught something about their architecture, members or not.
        n_lost: trials that taught nothing (failed, cancelled, or without a value for every objective).
    """

    def __init__(self, objectives: Sequence[Objective], *, capacity: int, worth: Worth = crowding) -> None:
        self._objectives = tuple(objectives)
        self._capacity = capacity
        self._worth = worth
        self._members: dict[TrialNumber, Member] = {}
        self._ranks: dict[TrialNumber, int] | None = None  # of the feasible ones; None: not sorted since the change
        self._worths: dict[int, dict[TrialNumber, float]] = {}  # by rank, each where it was asked for
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
        member = member_of(fact, self._objectives)
        if fact.kind == "result":
            self.n_results += member is not None
            self.n_lost += member is None
        if fact.trial not in self._members and (member is None or not self._may_enter(member, fact)):
            return
        self._ranks, self._worths = None, {}
        if member is None:
            del self._members[fact.trial]
            return
        self._members[fact.trial] = member  # a dict keeps the place of a key it has already
        if len(self._members) > self._capacity:
            self._make_room()

    def winner(self, first: TrialNumber, second: TrialNumber) -> TrialNumber:
        """The better of two members by (violation, rank, worth); `first` of equals."""
        violations = self._members[first].violation, self._members[second].violation
        if violations[0] != violations[1]:
            return first if violations[0] < violations[1] else second
        if violations[0] > 0:
            return first
        ranks = self._ranked()
        if ranks[first] != ranks[second]:
            return first if ranks[first] < ranks[second] else second
        worth = self._worth_in(ranks[first])
        return second if worth[second] > worth[first] else first

    def _may_enter(self, member: Member, fact: Fact) -> bool:  # noqa: ARG002 - a population may look at the fact too
        """Whether one that is no member may become one. Most, later on, are plainly the ones to drop: without sorting.

        Behind a full population of feasible ones is an infeasible result, and one that a member of the last rank
        beats: that makes a rank of its own, alone, since it beats nobody. True where it takes a closer look.
        """
        ranks = self._ranks
        if ranks is None or len(ranks) < self._capacity:  # not sorted since the change; room, or an infeasible member
            return True
        if member.violation > 0:
            return False
        last = max(ranks.values())
        return not any(rank == last and beats(self._members[number], member) for number, rank in ranks.items())

    def _make_room(self) -> None:
        """Drop one: there is one too many, and the ranks are out of date."""
        self._drop(self._worst())

    def _worst(self) -> TrialNumber:
        """Whom to drop: the most infeasible, else the one of least worth in the last rank; of equals the oldest."""
        worst = max(self._members.values(), key=lambda member: member.violation)  # the first of equals
        if worst.violation > 0:
            return worst.number
        worth = self._worth_in(max(self._ranked().values()))
        return min(worth, key=lambda each: worth[each])  # the first of equals

    def _drop(self, number: TrialNumber) -> None:
        """One of the last rank, or an infeasible one, leaves: the ranks of the others stand."""
        del self._members[number]
        if self._ranks is not None and number in self._ranks:
            self._worths.pop(self._ranks.pop(number), None)

    def _ranked(self) -> dict[TrialNumber, int]:
        if self._ranks is None:
            feasible = [member for member in self._members.values() if member.violation == 0]
            losses = np.array([member.losses for member in feasible], dtype=np.float64)
            fronts = _SORTING.do(losses.reshape(-1, len(self._objectives)))
            self._ranks = {feasible[row].number: rank for rank, front in enumerate(fronts) for row in front.tolist()}
        return self._ranks

    def _worth_in(self, rank: int) -> dict[TrialNumber, float]:
        """What each is worth within one rank, in the order in which its members were learned."""
        if rank not in self._worths:
            ranks = self._ranked()
            numbers = [number for number in self._members if ranks.get(number) == rank]
            worths = self._worth([self._members[number].losses for number in numbers], self._objectives)
            self._worths[rank] = dict(zip(numbers, worths, strict=True))
        return self._worths[rank]

    def to_json(self) -> dict[str, object]:
        """Exact."""
        return {**members_to_json(self._members.values()), "n_results": self.n_results, "n_lost": self.n_lost}

    def load(self, state: Mapping[str, object]) -> None:
        """Become what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it was not written by this version.
        """
        self._members = {each.number: each for each in members_from_json(state, len(self._objectives))}
        self.n_results = int(number_or(state["n_results"], nan))
        self.n_lost = int(number_or(state["n_lost"], nan))
