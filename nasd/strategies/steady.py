"""Steady-state evolution (mu+1): every result enters the population on arrival, one child a proposal.

Generations would have to wait for their slowest member; here a straggler that beats the population is a parent at once.
What a member is worth within its rank, and so who leaves the last one, is the only thing in which NSGA-II and SMS-EMOA
differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from nasd.domain.ids import TrialNumber
from nasd.domain.objective import Objective
from nasd.domain.seeding import below
from nasd.domain.space import SearchSpace
from nasd.strategies.evolution import Evolution
from nasd.strategies.population import Population
from nasd.strategies.worth import Row


class SteadyState(Evolution[Population]):
    """Binary tournaments by (violation, rank, worth); see `Evolution`.

    Attributes:
        worth: what a member is worth within its rank.
    """

    worth: ClassVar[staticmethod[[Sequence[Row], Sequence[Objective]], list[float]]]

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], *, population: int = 12, mutation_only: float = 0.3
    ) -> None:
        super().__init__(
            space,
            objectives,
            capacity=population,
            empty=lambda: Population(objectives, capacity=population, worth=self.worth),
        )
        self._mutation_only = mutation_only

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
