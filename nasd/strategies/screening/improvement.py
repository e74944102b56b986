"""Expected hypervolume improvement, exact for independent normal and log-normal predictions and for known values.

What no result dominates yet is cut into disjoint boxes; how much of a box a new point would dominate is a product over
objectives, so its expectation is a product of one-dimensional ones. A known cost is a prediction without spread.

Source: Emmerich et al. 2011 and Yang et al. 2019 (the box form); the cutting by slabs is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def expected_improvement(boxes: tuple[Array, Array], shortfalls: Sequence[Callable[[Array], Array]]) -> Array:
    """How much hypervolume each of c candidates is expected to add.

    Args:
        boxes: what `open_boxes` gave.
        shortfalls: of each objective: (e,) edges to (c, e) expectations of how far the candidate lies below an edge.

    Returns:
        (c,)
    """
    lowers, uppers = boxes
    product: Array = np.ones((1, len(lowers)))
    for at, shortfall in enumerate(shortfalls):
        edges, place = np.unique(np.concatenate([lowers[:, at], uppers[:, at]]), return_inverse=True)
        n_open = int(np.isneginf(edges).sum())  # at most the first: nothing lies below it
        below = shortfall(edges[n_open:])
        below = np.hstack([np.zeros((len(below), n_open)), below])
        product = product * (below[:, place[len(lowers) :]] - below[:, place[: len(lowers)]])
    total: Array = product.sum(axis=1)
    return total


def normal_shortfall(edges: Array, mean: Array, spread: Array) -> Array:
    """(c, e) expectation of how far a normal value lies below an edge, 0 where above."""
    away = edges[None] - mean[:, None]
    unit = away / spread[:, None]
    density = np.exp(-0.5 * unit * unit) / sqrt(2 * pi)
    expected: Array = away * ndtr(unit) + spread[:, None] * density
    return expected


def log_normal_shortfall(edges: Array, mean: Array, spread: Array) -> Array:
    """The same of a positive value whose logarithm is normal; nothing positive lies below an edge that is not."""
    unit = (np.log(np.maximum(edges, 1e-300))[None] - mean[:, None]) / spread[:, None]
    middle = np.exp(mean + 0.5 * spread * spread)[:, None]
    expected = edges[None] * ndtr(unit) - middle * ndtr(unit - spread[:, None])
    positive: Array = np.where(edges[None] > 0, np.maximum(expected, 0.0), 0.0)
    return positive
