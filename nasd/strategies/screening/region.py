"""The region in which hypervolume counts: how bad an objective may be, and what is as good as it gets so far.

A user's limit or range says it. Where nothing does, half of the proposals aim at the whole front and half at a part of
it whose worst value is drawn anew: a reference point far out makes a search spend itself on tiny useless networks, one
close in forgets that somebody may want them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf

import moocore
import numpy as np
from numpy.typing import NDArray

from nasd.strategies.base import Setting
from nasd.strategies.screening.observed import Observed
from nasd.strategies.screening.scale import Predicted
from nasd.strategies.screening.surrogate import Surrogate, bound_of

Array = NDArray[np.float64]

_STRICT = 0.5  # share of proposals that aim at a part of the front, where the user gave no bound
_STRICTEST, _LOOSEST = 0.0, 0.6  # quantiles of the design's targets that the bound is drawn between
_DESIGN = 16  # results that the quantiles are taken of
_AT_LEAST = 3  # results inside a bound
_MARGIN = 0.1  # of the front's range, beyond its worst


@dataclass(frozen=True, slots=True)
class Region:
    """The box of interest, on the scales on which hypervolume is taken.

    Attributes:
        ideal: (m,) the best so far inside.
        reference: (m,) beyond it nothing counts.
        points: (n, m) what is taken for the value of each observed trial.
        usable: (n,) whether a trial is feasible; all are while none is.
        front: (n,) whether a trial is feasible and non-dominated.
    """

    ideal: Array
    reference: Array
    points: Array
    usable: NDArray[np.bool_]
    front: NDArray[np.bool_]

    def unit(self, points: Array) -> Array:
        """Points in units of the region: the ideal is 0, the reference 1."""
        scaled: Array = (points - self.ideal) / (self.reference - self.ideal)
        return scaled

    def shortfalls(self, predicted: Sequence[Predicted]) -> list[Callable[[Array], Array]]:
        """Of each objective, for edges and results in units of the region."""
        widths = (self.reference - self.ideal).tolist()
        return [
            partial(_in_units, each, low=low, width=width)
            for each, low, width in zip(predicted, self.ideal.tolist(), widths, strict=True)
        ]


def _in_units(predicted: Predicted, edges: Array, *, low: float, width: float) -> Array:
    return predicted.shortfall(low + edges * width) / width


def region_of(
    setting: Setting, surrogate: Surrogate, observed: Observed, points: Array, rng: np.random.Generator
) -> Region:
    """The region for one proposal.

    Args:
        points: (n, m) the observed trials' objectives, noise smoothed; n > 0.
    """
    feasible = observed.feasible(setting.objectives)
    bounds = np.array([_bound(at, setting, surrogate, points, rng) for at in range(points.shape[1])])
    hard = np.array([bound_of(objective, setting) is not None for objective in setting.objectives])
    usable = feasible if feasible.any() else np.ones(len(points), dtype=np.bool_)
    for at in np.flatnonzero(np.isfinite(bounds)).tolist():  # nothing useful yet: aim at what there is
        bounds[at] = max(bounds[at], points[usable, at].min())
    inside = usable & (points <= bounds).all(axis=1)
    if not inside.any():
        inside, bounds = usable, np.full(len(bounds), inf)
    front = np.zeros(len(points), dtype=np.bool_)
    rows = np.flatnonzero(usable)
    front[rows[moocore.is_nondominated(points[rows], keep_weakly=True)]] = True
    part = points[inside & front] if (inside & front).any() else points[inside]
    ideal, worst = part.min(axis=0), part.max(axis=0)
    for at, objective in enumerate(setting.objectives):
        if objective.name != surrogate.primary:  # of prices all that was worth an evaluation
            worst[at] = points[inside, at].max()
        elif not hard[at]:
            worst[at] = min(worst[at], surrogate.cut(objective.name))
    reference = worst + _MARGIN * (worst - ideal)
    reference = np.where(np.isfinite(bounds), bounds, reference) + 1e-9
    return Region(np.minimum(ideal, reference - 1e-6), reference, points, usable, front & feasible)


def _bound(at: int, setting: Setting, surrogate: Surrogate, points: Array, rng: np.random.Generator) -> float:
    objective = setting.objectives[at]
    scale, loss = surrogate.scale(objective.name), bound_of(objective, setting)
    if loss is not None:
        if scale is not None:
            return float(scale.measure(np.array([scale.edge(loss)]))[0])
        return float(np.log(loss)) if loss > 0 else loss
    draws = rng.random(2)  # drawn for every objective, so that what one is does not change the others' draws
    if objective.name != surrogate.primary or draws[0] >= _STRICT:
        return inf
    column = points[:, at]
    share = _STRICTEST + (_LOOSEST - _STRICTEST) * float(draws[1])
    return float(max(np.quantile(column[:_DESIGN], share), np.sort(column)[min(_AT_LEAST, len(column) - 1)]))
