"""Steady-state evolution (mu+1): every result enters the population on arrival, one child a proposal.

Generations would have to wait for their slowest member; here a straggler that beats the population is a parent at once.
What a member is worth within its rank, and so who leaves the last one, is the only thing in which NSGA-II and SMS-EMOA
differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasd.domain.history import History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.objective import Objective
from nasd.domain.seeding import below
from nasd.domain.space import SearchSpace
from nasd.strategies.breed import breed, in_design
from nasd.strategies.follow import Follower
from nasd.strategies.fresh import unproposed
from nasd.strategies.population import Population
from nasd.strategies.worth import Worth


class SteadyState:
    """Binary tournaments by (violation, rank, worth); the space's own crossover and mutation.

    The first `population` trials are random. After them children are bred as soon as half as many results are in;
    until then random ones go on, so that it never waits and never breeds from the few fastest networks alone.
    """

    name: str
    version: str

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        *,
        worth: Worth,
        population: int = 12,
        mutation_only: float = 0.3,
    ) -> None:
        names = [objective.name for objective in objectives]
        self._space = space
        self._capacity = population
        self._mutation_only = mutation_only
        self._follower = Follower(
            lambda: Population(objectives, capacity=population, worth=worth),
            {"version": self.version, "population": population, "objectives": names},
        )

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:  # noqa: ARG002 - the rng is keyed by it
        """A random architecture during the design, a child after it.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        people = self._follower.follow(history)
        if in_design(people, history, capacity=self._capacity):
            return Proposal(architecture=unproposed(self._space, history, rng), operator="sample")
        return breed(self._space, history, lambda draws: self._parents(people, draws), rng)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The population, so that a resumed study need not sort all its results again."""
        return self._follower.cache()

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over what `cache` gave; a cache of another version or other settings is left aside."""
        self._follower.restore(learned_seq, state)

    def population(self, history: History) -> Population:
        """The members after all facts of `history`."""
        return self._follower.follow(history)

    def _parents(self, people: Population, rng: np.random.Generator) -> tuple[TrialNumber, ...]:
        numbers = people.numbers
        mother = _tournament(people, numbers, rng)
        if len(numbers) == 1 or rng.random() < self._mutation_only:
            return (mother,)
        father = _tournament(people, numbers, rng)
        if father == mother:
            father = _another(numbers, numbers.index(mother), rng)
        return mother, father


def _tournament(people: Population, numbers: Sequence[TrialNumber], rng: np.random.Generator) -> TrialNumber:
    """The better of two different members."""
    first = below(len(numbers), rng)
    if len(numbers) == 1:
        return numbers[first]
    return people.winner(numbers[first], _another(numbers, first, rng))


def _another(numbers: Sequence[TrialNumber], index: int, rng: np.random.Generator) -> TrialNumber:
    return numbers[(index + 1 + below(len(numbers) - 1, rng)) % len(numbers)]
