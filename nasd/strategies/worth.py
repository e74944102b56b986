"""What a member of a rank is worth: how much it adds to the spread of the rank. The least of the last rank is dropped.

Both measures are taken on the objectives' scales and are infinite at the ends, so that a front keeps its extremes; of
equal rows the first has the measure and the others have 0, so that copies leave before anything else does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import moocore
import numpy as np
from numpy.typing import NDArray
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

from nasd.domain.objective import Objective
from nasd.domain.scoring import on_scale

Row = tuple[float, ...]
Worth = Callable[[Sequence[Row], Sequence[Objective]], list[float]]

_REFERENCE = 1.1  # in units of the rank's own box


def crowding(rows: Sequence[Row], objectives: Sequence[Objective]) -> list[float]:
    """Each row's crowding distance, as in pymoo.

    pymoo's wrapper finds equal rows by all their distances, which takes as long as everything else here together.

    Args:
        rows: (n, m) finite losses, none of which beats another.

    Source: Deb et al. 2002, NSGA-II, section III-B.
    """
    return _of_distinct(rows, lambda distinct: calc_crowding_distance(on_scale(distinct, objectives)))


def contributions(rows: Sequence[Row], objectives: Sequence[Objective]) -> list[float]:
    """Each row's own share of the hypervolume of all of them, in the box from their ideal to their nadir point.

    The one with the least loss in an objective counts as infinite: that is the limit for a reference point far away,
    while one at a distance that is finite would drop an end that lies near its neighbour.

    Args:
        rows: (n, m) finite losses, none of which beats another.

    Source: Beume et al. 2007, SMS-EMOA, section 3.
    """
    return _of_distinct(rows, lambda distinct: _volumes(on_scale(distinct, objectives)))


def _volumes(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) contributions of (n, m) distinct points of one rank, n > 2."""
    low = points.min(axis=0)
    span = points.max(axis=0) - low
    unit = (points - low) / np.where(span > 0, span, 1.0)
    volumes: NDArray[np.float64] = moocore.hv_contributions(unit, ref=np.full(points.shape[1], _REFERENCE))
    volumes[points.argmin(axis=0)] = inf
    return volumes


def _of_distinct(rows: Sequence[Row], measure: Callable[[Sequence[Row]], NDArray[np.float64]]) -> list[float]:
    distinct = list(dict.fromkeys(rows))
    if len(distinct) <= 2:
        measured = dict.fromkeys(distinct, inf)
    else:
        measured = dict(zip(distinct, measure(distinct).tolist(), strict=True))
    return [measured.pop(row, 0.0) for row in rows]
