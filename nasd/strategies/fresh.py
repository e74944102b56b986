"""Architectures that a study has not proposed yet: random ones, and the proof that none is left."""

from __future__ import annotations

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import History
from nasd.domain.seeding import pick
from nasd.domain.space import SearchSpace
from nasd.errors import SpaceExhausted

_FREE_DRAWS = 32  # collisions in a row before the space is suspected to be used up
_DRAWS_PER_MEMBER = 200  # a member with a 20th of the average chance is then missed once in e**10 times
_MOST_DRAWS = 2_000_000


def unproposed(space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture:
    """A random architecture that the history does not hold, in flight or not.

    Where samples keep colliding, the history is counted against the space's exact size; if
    anything is left, samples and mutations of random trials alternate until one of the rest turns up.

    Raises:
        SpaceExhausted: every architecture of the space was proposed.
    """
    for _ in range(_FREE_DRAWS):
        candidate = space.sample(rng)
        if history.number_of(candidate.key) is None:
            return candidate
    n_left = space.size - len({architecture.key for architecture in history.architectures})
    if n_left <= 0:
        raise SpaceExhausted(f"all {space.size} architectures of space {space.name} were proposed")
    for _ in range(min(_DRAWS_PER_MEMBER * space.size, _MOST_DRAWS)):
        for candidate in (space.sample(rng), _neighbour(space, history, rng)):
            if history.number_of(candidate.key) is None:
                return candidate
    raise SpaceExhausted(  # only a space that miscounts itself comes here; ending the study beats hanging it
        f"space {space.name} says that {n_left} of its {space.size} architectures are left, but none could be drawn"
    )


def _neighbour(space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture:
    return space.mutate(pick(history.architectures, rng), rng)
