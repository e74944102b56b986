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

    Where samples keep colliding, the history is counted against the space's size; if anything may be left, samples and
    mutations of random trials alternate until one of the rest turns up. How long that is worth follows from the
    history, not from the size, which may be a bound far above the truth: were much left, samples would not collide.

    Raises:
        SpaceExhausted: every architecture of the space was proposed, as far as can be told.
    """
    for _ in range(_FREE_DRAWS):
        candidate = space.sample(rng)
        if history.number_of(candidate.key) is None:
            return candidate
    n_proposed = len({architecture.key for architecture in history.architectures})
    n_left = space.size - n_proposed
    if n_left <= 0:
        raise SpaceExhausted(f"all {space.size} architectures of space {space.name} were proposed")
    for _ in range(min(_DRAWS_PER_MEMBER * (n_proposed + 1), _MOST_DRAWS)):
        for candidate in (space.sample(rng), _neighbour(space, history, rng)):
            if history.number_of(candidate.key) is None:
                return candidate
    raise SpaceExhausted(  # the size is a bound, or the space miscounts itself; ending the study beats hanging it
        f"space {space.name}: {n_proposed} architectures were proposed and no other could be drawn, "
        f"of at most {space.size}"
    )


def _neighbour(space: SearchSpace, history: History, rng: np.random.Generator) -> Architecture:
    return space.mutate(pick(history.architectures, rng), rng)
