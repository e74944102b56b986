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

from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.objective import Objective
from nasd.domain.seeding import below
from nasd.domain.space import SearchSpace
from nasd.strategies.breed import breed, in_design
from nasd.strategies.follow import Follower
from nasd.strategies.fresh import unproposed
from nasd.strategies.members import Member
from nasd.strategies.population import Population


class AgingEvolution:
    """The first `population` trials are random; then the best of `sample` members, drawn evenly, has a child.

    `sample`: None is a third of the population, as in most of what was published.
    """

    name = "aging-evolution"
    version = "aging-evolution-1"

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], *, population: int = 30, sample: int | None = None
    ) -> None:
        names = [objective.name for objective in objectives]
        self._space = space
        self._capacity = population
        self._sample = sample or max(2, population // 3)
        self._follower = Follower(
            lambda: AgingPopulation(objectives, capacity=population),
            {"version": self.version, "population": population, "objectives": names},
        )

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:  # noqa: ARG002 - the rng is keyed by it
        """A random architecture during the design, a mutation after it.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        people = self._follower.follow(history)
        if in_design(people, history, capacity=self._capacity):
            return Proposal(architecture=unproposed(self._space, history, rng), operator="sample")
        return breed(self._space, history, lambda draws: (people.best_of(self._sample, draws),), rng)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The population, so that a resumed study need not read all its results again."""
        return self._follower.cache()

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over what `cache` gave; a cache of another version or other settings is left aside."""
        self._follower.restore(learned_seq, state)


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
