"""A suggestion that a study already has is answered, asked again, then mutated, then given up for a random one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import History, Proposal
from nasd.domain.space import SearchSpace
from nasd.strategies.fresh import unproposed

_MUTATIONS = 32


def fresh_proposal(
    name: str,
    suggest: Callable[[], Architecture | None],
    space: SearchSpace,
    history: History,
    rng: np.random.Generator,
    *,
    most_asks: int,
) -> Proposal:
    """The first suggestion that the history does not hold.

    Args:
        name: the operator of a suggestion taken as it is.
        suggest: asks once more; None: nothing can be suggested, then or later.

    Raises:
        SpaceExhausted: every architecture of the space was proposed.
    """
    suggested = suggest()
    for _ in range(most_asks - 1):
        if suggested is None or history.number_of(suggested.key) is None:
            break
        suggested = suggest() or suggested
    if suggested is None:
        return Proposal(unproposed(space, history, rng), "sample")
    if history.number_of(suggested.key) is None:
        return Proposal(suggested, name)
    for _ in range(_MUTATIONS):
        suggested = space.mutate(suggested, rng)
        if history.number_of(suggested.key) is None:
            return Proposal(suggested, f"{name}+mutation")
    return Proposal(unproposed(space, history, rng), "sample")
