"""Steady-state NSGA-II (mu+1): every result enters the population on arrival, one child a proposal.

Generations would have to wait for their slowest member; here a straggler that beats the population is a parent at once.

Source: Deb et al. 2002, NSGA-II, sections III-B (crowding) and VI (constrained domination); Durillo et al. 2009 for the
steady-state form.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.objective import Objective
from nasd.domain.seeding import below
from nasd.domain.space import SearchSpace
from nasd.strategies.fresh import unproposed
from nasd.strategies.population import Population

_LITTERS = 3  # pairs of parents tried before a child that exists already is mutated further
_EXTRA_MUTATIONS = 16


class Nsga2:
    """Binary tournaments by (violation, rank, crowding); the space's own crossover and mutation.

    The first `population` trials are random. After them children are bred as soon as half as many results are in;
    until then random ones go on, so that it never waits and never breeds from the few fastest networks alone.
    """

    name = "nsga2"
    version = "nsga2-2"

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], *, population: int = 12, mutation_only: float = 0.3
    ) -> None:
        self._space = space
        self._objectives = tuple(objectives)
        self._capacity = population
        self._mutation_only = mutation_only
        self._population = self._empty()
        self._seq = 0  # facts consumed
        self._history: History | None = None  # whose facts they were

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:  # noqa: ARG002 - the rng is keyed by it
        """A random architecture during the design, a child after it.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        self._follow(history)
        if self._in_design(history):
            return Proposal(architecture=unproposed(self._space, history, rng), operator="sample")
        return self._breed(history, rng)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The population, so that a resumed study need not sort all its results again."""
        if self._seq == 0:
            return None
        return LearnedSeq(self._seq), {**self._settings(self._seq), **self._population.to_json()}

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over what `cache` gave; a cache of another version or other settings is left aside."""
        self._population, self._seq, self._history = self._empty(), 0, None
        if any(state.get(key) != value for key, value in self._settings(learned_seq).items()):
            return
        try:
            self._population.load(state)
        except (KeyError, TypeError, ValueError):  # a damaged cache costs time, never a study
            self._population = self._empty()
            return
        self._seq = int(learned_seq)

    def _settings(self, seq: int) -> dict[str, object]:
        names = [objective.name for objective in self._objectives]
        return {"version": self.version, "population": self._capacity, "objectives": names, "learned_seq": seq}

    def _empty(self) -> Population:
        return Population(self._objectives, capacity=self._capacity)

    def _follow(self, history: History) -> None:
        """Consume the facts that are new; start over where `history` isn't the one consumed so far."""
        restored = self._history is None and self._seq > 0
        extends = self._seq <= len(history.facts) and max(self._population.numbers, default=-1) < len(history)
        if not (extends and (restored or history is self._history)):
            self._population, self._seq = self._empty(), 0
        self._history = history
        for fact in history.facts[self._seq :]:
            self._population.learn(fact)
        self._seq = len(history.facts)

    def _in_design(self, history: History) -> bool:
        n_proposed = len(history) - self._population.n_lost
        n_enough = self._capacity // 2
        return n_proposed < self._capacity or self._population.n_results < n_enough or len(self._population) == 0

    def _breed(self, history: History, rng: np.random.Generator) -> Proposal:
        for _ in range(_LITTERS):
            parents = self._parents(rng)
            child, operator = self._child([history.architectures[number] for number in parents], rng)
            if history.number_of(child.key) is None:
                return Proposal(architecture=child, operator=operator, parents=parents)
        for _ in range(_EXTRA_MUTATIONS):
            child = self._space.mutate(child, rng)
            if history.number_of(child.key) is None:
                return Proposal(architecture=child, operator=operator, parents=parents, notes={"mutated_further": True})
        return Proposal(architecture=unproposed(self._space, history, rng), operator="sample")

    def _child(self, parents: Sequence[Architecture], rng: np.random.Generator) -> tuple[Architecture, str]:
        if len(parents) == 1:
            return self._space.mutate(parents[0], rng), "mutation"
        mixed = self._space.crossover(parents[0], parents[1], rng)
        return self._space.mutate(mixed, rng), "crossover+mutation"

    def _parents(self, rng: np.random.Generator) -> tuple[TrialNumber, ...]:
        numbers = self._population.numbers
        mother = self._tournament(numbers, rng)
        if len(numbers) == 1 or rng.random() < self._mutation_only:
            return (mother,)
        father = self._tournament(numbers, rng)
        if father == mother:
            father = _another(numbers, numbers.index(mother), rng)
        return mother, father

    def _tournament(self, numbers: Sequence[TrialNumber], rng: np.random.Generator) -> TrialNumber:
        """The better of two different members."""
        first = below(len(numbers), rng)
        if len(numbers) == 1:
            return numbers[first]
        return self._population.winner(numbers[first], _another(numbers, first, rng))


def _another(numbers: Sequence[TrialNumber], index: int, rng: np.random.Generator) -> TrialNumber:
    return numbers[(index + 1 + below(len(numbers) - 1, rng)) % len(numbers)]
