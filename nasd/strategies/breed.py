"""When to breed, and how: from parents to an architecture that the history does not hold yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import History, Proposal
from nasd.domain.ids import TrialNumber
from nasd.domain.space import SearchSpace
from nasd.strategies.fresh import unproposed

_LITTERS = 3  # choices of parents tried before a child that exists already is mutated further
_EXTRA_MUTATIONS = 16


class People(Protocol):
    """A population, and what it was made of."""

    n_results: int
    n_lost: int

    def __len__(self) -> int: ...


def in_design(people: People, history: History, *, capacity: int) -> bool:
    """Whether the next trial is a random one still: until `capacity` were proposed and half as many are known.

    Children of the first results alone would be children of the fastest networks.
    """
    n_proposed = len(history) - people.n_lost
    return n_proposed < capacity or people.n_results < capacity // 2 or len(people) == 0


def breed(
    space: SearchSpace,
    history: History,
    choose: Callable[[np.random.Generator], tuple[TrialNumber, ...]],
    rng: np.random.Generator,
) -> Proposal:
    """A child by the space's own operators: a mutation of one parent, or of two parents' crossover.

    Args:
        choose: one or two trials to be parents.

    Raises:
        SpaceExhausted: every architecture of the space was proposed.
    """
    for _ in range(_LITTERS):
        parents = choose(rng)
        child, operator = _child(space, [history.architectures[number] for number in parents], rng)
        if history.number_of(child.key) is None:
            return Proposal(architecture=child, operator=operator, parents=parents)
    for _ in range(_EXTRA_MUTATIONS):
        child = space.mutate(child, rng)
        if history.number_of(child.key) is None:
            return Proposal(architecture=child, operator=operator, parents=parents, notes={"mutated_further": True})
    return Proposal(architecture=unproposed(space, history, rng), operator="sample")


def _child(space: SearchSpace, parents: Sequence[Architecture], rng: np.random.Generator) -> tuple[Architecture, str]:
    if len(parents) == 1:
        return space.mutate(parents[0], rng), "mutation"
    mixed = space.crossover(parents[0], parents[1], rng)
    return space.mutate(mixed, rng), "crossover+mutation"
