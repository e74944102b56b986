"""Expected hypervolume improvement, exact for independent normal predictions and for values that are known.

What no result dominates yet is cut into disjoint boxes; how much of a box a new point would dominate is a product over
objectives, so its expectation is a product of one-dimensional ones. A known cost is a prediction without spread.

Source: Emmerich et al. 2011 and Yang et al. 2019 (the box form); the cutting by slabs is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt

import moocore
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]

_MOST_POINTS = {3: 40}  # of a front; boxes grow with (points) ** (objectives - 1)
_MOST_OF_MANY = 16


def open_boxes(front: Array, reference: Array) -> tuple[Array, Array]:
    """Disjoint boxes that fill what lies below `reference` and behind no point of `front`.

    Args:
        front: (n, m), minimised, n >= 0; points at or beyond the reference must have been left out.
        reference: (m,)

    Returns:
        Lower corners, -inf where a box has no bound, and upper corners: (k, m) each.
    """
    m = len(reference)
    if len(front) == 0:
        return np.full((1, m), -np.inf), reference[None].copy()
    if m == 1:
        return np.array([[-np.inf]]), np.array([[front.min()]])
    lowers, uppers, low = [], [], -np.inf
    for high in (*np.unique(front[:, -1]).tolist(), float(reference[-1])):
        if high > low:
            before = front[front[:, -1] <= low][:, :-1]  # what can dominate in this slab
            lower, upper = open_boxes(_least(before), reference[:-1])
            lowers.append(np.column_stack([lower, np.full(len(lower), low)]))
            uppers.append(np.column_stack([upper, np.full(len(upper), high)]))
        low = high
    return np.concatenate(lowers), np.concatenate(uppers)


def _least(points: Array) -> Array:
    if len(points) < 2:
        return points
    if points.shape[1] == 1:
        return points[[int(points[:, 0].argmin())]]
    kept: Array = moocore.filter_dominated(points)
    return kept


def thinned(front: Array, reference: Array) -> Array:
    """The points of a front that count: non-dominated, below the reference, and no more than boxes can be made of."""
    inside = front[(front < reference).all(axis=1)]
    if len(inside) == 0:
        return inside
    m = front.shape[1]
    points = _least(inside)
    most = _MOST_POINTS.get(m, len(points) if m < 3 else _MOST_OF_MANY)
    if len(points) > most:
        shares = moocore.hv_contributions(points, ref=reference)
        points = points[np.sort(np.argsort(-shares, kind="stable")[:most])]
    return points


def expected_improvement(boxes: tuple[Array, Array], means: Sequence[Array], spreads: Sequence[Array | None]) -> Array:
    """How much hypervolume each candidate is expected to add.

    Args:
        boxes: what `open_boxes` gave.
        means: of each objective (c,).
        spreads: standard deviations (c,); None where the objective is known.

    Returns:
        (c,)
    """
    lowers, uppers = boxes
    product = np.ones((len(means[0]), len(lowers)))
    for at, (mean, spread) in enumerate(zip(means, spreads, strict=True)):
        edges, place = np.unique(np.concatenate([lowers[:, at], uppers[:, at]]), return_inverse=True)
        below = np.zeros((len(mean), len(edges)))
        bounded = np.isfinite(edges)
        below[:, bounded] = _shortfall(edges[bounded], mean, spread)
        product *= below[:, place[len(lowers) :]] - below[:, place[: len(lowers)]]
    total: Array = product.sum(axis=1)
    return total


def _shortfall(edges: Array, mean: Array, spread: Array | None) -> Array:
    """(c, e) expectation of how far a value lies below an edge, 0 where above."""
    away = edges[None] - mean[:, None]
    if spread is None:
        return np.maximum(away, 0.0)
    unit = away / spread[:, None]
    density = np.exp(-0.5 * unit * unit) / sqrt(2 * pi)
    expected: Array = away * ndtr(unit) + spread[:, None] * density
    return expected
