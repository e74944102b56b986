"""The trials of a study from its front downwards: what another study may begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from nasd.domain.history import History
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.pareto import non_dominated

T = TypeVar("T")


def ranked(history: History) -> list[list[TrialNumber]]:
    """Ranks of non-domination over all columns, the front first; each along the first objective, ties by number.

    Only what completed within all limits and has a value for every objective.
    """
    losses = history.losses
    rows = [
        number
        for number in map(TrialNumber, range(len(history)))
        if history.state(number) is State.COMPLETED
        and history.violations[number] <= 0
        and np.isfinite(losses[number]).all()
    ]
    ranks = []
    while rows:
        mask = non_dominated(losses[rows])
        front = [number for number, is_in in zip(rows, mask, strict=True) if is_in]
        ranks.append(sorted(front, key=lambda number: (*losses[number].tolist(), number)))
        rows = [number for number, is_in in zip(rows, mask, strict=True) if not is_in]
    return ranks


def spread(members: Sequence[T], most: int) -> list[T]:
    """At most `most` of them in their order, evenly spaced, both ends first."""
    if most >= len(members):
        return list(members)
    if most <= 1:
        return list(members[: max(most, 0)])
    places = {round(place * (len(members) - 1) / (most - 1)) for place in range(most)}
    return [member for place, member in enumerate(members) if place in places]
