"""Aging evolution: the best of a few members is mutated, and the oldest member leaves, however good it is.

Source: Real et al. 2019, regularized evolution for image classifier architecture search, algorithm 1. With several
objectives the best is that of (violation, non-domination rank, crowding), both taken within the whole population: taken
within the sample they lost 0.03 of 0.92 of the hypervolume of NAS-Bench-Macro at 100 trials. The age of a member is the
order in which results were learned: with workers of unequal speed there is no other order of completion.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import isfinite

import numpy as np

from nasd.domain.history import Fact
from nasd.domain.ids import TrialNumber
from nasd.domain.objective import Objective
from nasd.domain.seeding import below
from nasd.domain.space import SearchSpace
from nasd.strategies.evolution import Evolution
from nasd.strategies.members import Member
from nasd.strategies.population import Population


class AgingEvolution(Evolution["AgingPopulation"]):
    """The best of `sample` members, drawn evenly, has a child by mutation; see `Evolution`.

    `sample`: None is a third of the population, as in most of what was published.
    """

    name = "aging-evolution"
    version = "aging-evolution-1"

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], *, population: int = 30, sample: int | None = None
    ) -> None:
        super().__init__(
            space, objectives, capacity=population, empty=lambda: AgingPopulation(objectives, capacity=population)
        )
        self._sample = sample or max(2, population // 3)

    def _parents(self, people: AgingPopulation, rng: np.random.Generator) -> tuple[TrialNumber, ...]:
        return (people.best_of(self._sample, rng),)


class AgingPopulation(Population):
    """The last `capacity` results, oldest first.

    What did not fit, diverged or crashed never enters: it can't be better than anything, and would age out what is.
    What breaks a limit by a known amount does, because that leads back to the feasible region. A revision changes a
    member where it stands, or removes it; it never brings one back that has left, nor makes one younger.
    """

    def best_of(self, n: int, rng: np.random.Generator) -> TrialNumber:
        """The best of `n` members drawn without replacement, of all where there are fewer; of equals the first drawn.

        At least one member is needed.
        """
        left = list(self.numbers)
        drawn = [left.pop(below(len(left), rng)) for _ in range(min(n, len(left)))]
        return reduce(self.winner, drawn)

    def _may_enter(self, member: Member, fact: Fact) -> bool:
        return fact.kind == "result" and isfinite(member.violation)

    def _make_room(self) -> None:
        del self._members[self.numbers[0]]
