"""What evolutions have in common: random trials first, then children of a population that follows the facts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from nasd.domain.history import History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.objective import Objective
from nasd.domain.space import SearchSpace
from nasd.strategies.breed import breed, in_design
from nasd.strategies.follow import Follower
from nasd.strategies.fresh import unproposed
from nasd.strategies.population import Population

P = TypeVar("P", bound=Population)


class Evolution(ABC, Generic[P]):
    """The first `capacity` trials are random. After them children are bred as soon as half as many results are in.

    Until then random ones go on, so that it never waits and never breeds from the few fastest networks alone.
    """

    name: str
    version: str

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], *, capacity: int, empty: Callable[[], P]
    ) -> None:
        names = [objective.name for objective in objectives]
        self._space = space
        self._capacity = capacity
        self._follower = Follower(empty, {"version": self.version, "population": capacity, "objectives": names})

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:  # noqa: ARG002 - the rng is keyed by it
        """A random architecture during the design, a child after it.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        people = self.population(history)
        if in_design(people, history, capacity=self._capacity):
            return Proposal(architecture=unproposed(self._space, history, rng), operator="sample")
        return breed(self._space, history, lambda draws: self._parents(people, draws), rng)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The population, so that a resumed study need not read and sort all its results again."""
        return self._follower.cache()

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over what `cache` gave; a cache of another version or other settings is left aside."""
        self._follower.restore(learned_seq, state)

    def population(self, history: History) -> P:
        """The members after all facts of `history`."""
        return self._follower.follow(history)

    @abstractmethod
    def _parents(self, people: P, rng: np.random.Generator) -> tuple[TrialNumber, ...]:
        """One or two members to have a child; at least one is there."""
