"""Scales: on which a quantity is modelled, and on which hypervolume is taken of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasd.strategies.screening.improvement import log_normal_shortfall, normal_shortfall

Array = NDArray[np.float64]

_SPAN = 0.8  # quantile of the losses, which that times the least is compared with
_DECADE = 10.0
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Scale:
    """How a loss becomes a target.

    Attributes:
        kind: `log`; `complement`: of a share that is maximised, the logarithm of what it lacks; `-log`: of a quantity
            that is maximised and spans decades; `linear`.
        is_bent: whether hypervolume is taken of losses and not of targets, so that a normal target means a log-normal
            loss.
    """

    kind: str
    is_bent: bool = False

    def forward(self, losses: Array) -> Array:
        """Targets of losses; NaN stays."""
        if self.kind == "log":
            return np.log(np.maximum(losses, _TINY))
        if self.kind == "complement":  # loss = -share
            return np.log(np.maximum(1.0 + losses, _TINY))
        if self.kind == "-log":
            return -np.log(np.maximum(-losses, _TINY))
        return losses

    def measure(self, targets: Array) -> Array:
        """What hypervolume is taken of, from targets: their losses where it is bent."""
        if not self.is_bent:
            return targets
        losses = np.exp(targets)
        return losses - 1.0 if self.kind == "complement" else losses

    def edge(self, loss: float) -> float:
        """The target of one loss."""
        return float(self.forward(np.array([loss]))[0])


def scale_of(losses: Array, *, is_log: bool = True) -> Scale:
    """The scale on which a quantity is modelled, from the losses seen of it.

    Args:
        is_log: hypervolume is taken of its logarithm. So it is of what spans decades, whatever is said.
    """
    seen = losses[np.isfinite(losses)]
    if len(seen) and (seen > 0).all():
        spans_decades = float(np.quantile(seen, _SPAN)) > _DECADE * float(seen.min())
        return Scale("log", is_bent=not (is_log or spans_decades))
    if is_log and len(seen) and (seen < 0).all():
        return Scale("-log")
    if len(seen) and (seen < 0).all() and (seen > -1).all():
        return Scale("complement", is_bent=True)
    return Scale("linear")


@dataclass(frozen=True, slots=True)
class Predicted:
    """One objective of some candidates.

    Attributes:
        mean, spread: (n,) of targets; no spread where the objective is known.
    """

    mean: Array
    spread: Array | None
    scale: Scale

    @property
    def measure(self) -> Array:
        """(n,) the median, on the scale on which hypervolume is taken."""
        return self.scale.measure(self.mean)

    def shortfall(self, edges: Array) -> Array:
        """(n, e) expectation of how far the objective lies below an edge, 0 where above; on hypervolume's scale."""
        if self.spread is None:
            return np.maximum(edges[None] - self.measure[:, None], 0.0)
        if not self.scale.is_bent:
            return normal_shortfall(edges, self.mean, self.spread)
        shift = 1.0 if self.scale.kind == "complement" else 0.0
        return log_normal_shortfall(edges + shift, self.mean, self.spread)
