"""What a search is judged on: a space, what is told of an architecture, what it truly is, and a box to score in.

Strategies are told noisy values and know neither the true ones nor the box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasd.domain.architecture import Architecture
from nasd.domain.pareto import non_dominated
from nasd.domain.study import LimitSpec, ObjectiveSpec
from nasd.spaces.parametric import ParametricSpace
from nasd.strategies.base import Costs

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Scoring:
    """The box in which true values are scored; its worst corner is the reference point.

    Attributes:
        low: (m,) the true ideal.
        high: (m,) the bound of usefulness: what is as bad or worse in one objective counts nothing.
        is_log: (m,) whether the line between the two is straight on the logarithm.
        true: the hypervolume of the true front, or of the best known one, in this box: in [0, 1].
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    is_log: NDArray[np.bool_]
    true: float = 1.0

    def normalise(self, rows: ArrayLike) -> NDArray[np.float64]:
        """(n, m) true values, minimised; [0, 1] is inside the box."""
        values = np.asarray(rows, dtype=np.float64).reshape(-1, len(self.low))
        low, high = self._scaled(self.low), self._scaled(self.high)
        return (self._scaled(values) - low) / (high - low)

    def volume(self, rows: ArrayLike) -> float:
        """The share of the box that these true values dominate; n = 0 gives 0.0."""
        return volume(self.normalise(rows))

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(self.is_log, np.log(np.maximum(values, _TINY)), values)


def volume(normalised: NDArray[np.float64]) -> float:
    """Hypervolume up to the reference point (1, ..., 1)."""
    inside = normalised[(normalised < 1.0).all(axis=1)]
    if len(inside) == 0:
        return 0.0
    return float(moocore.hypervolume(inside, ref=np.ones(inside.shape[1])))


def volumes(normalised: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) the hypervolume of the first 1, 2, ..., n rows of (n, m)."""
    found = np.zeros(len(normalised))
    front = normalised[:0]
    best = 0.0
    for at, row in enumerate(normalised):
        if (row < 1.0).all() and not (front <= row).all(axis=1).any():
            front = np.vstack([front[~(front >= row).all(axis=1)], row])
            best = max(best, volume(front))
        found[at] = best
    return found


def box_of(rows: NDArray[np.float64], *, bound: float, is_log: Iterable[bool]) -> Scoring:
    """The box of a whole space of which everything is known.

    Args:
        rows: (n, m) true values, minimised, the error first.
        bound: the largest error that is of use.

    Returns:
        From the least value of networks inside the bound to it, and to the largest costs among them.
    """
    inside = rows[rows[:, 0] < bound]
    high = inside.max(axis=0)
    high[0] = bound
    box = Scoring(low=inside.min(axis=0), high=high, is_log=np.array(tuple(is_log)))
    normalised = box.normalise(inside)
    true = volume(normalised[non_dominated(normalised)])
    return Scoring(low=box.low, high=box.high, is_log=box.is_log, true=true)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A benchmark.

    Attributes:
        kind: of the space, as a study file would name it.
        limits: hard limits, which every rival is given.
        costs: what is known exactly before an evaluation; offered to every strategy of nasd, as a study would.
        told: (architecture, seed) -> the values that a strategy learns; the seed picks the recorded run, or the noise.
        scored: (architecture, seed) -> (m,) the true values, in the order of `objectives`, all minimised.
        duration_s: of its evaluation on a worker at speed 1.
        scoring: seed -> the box and the true front's hypervolume in it.
        n_boxes: how many boxes there are: `scoring(seed)` is that of `seed % n_boxes`.
    """

    name: str
    space: ParametricSpace
    kind: str
    objectives: Mapping[str, ObjectiveSpec]
    limits: tuple[LimitSpec, ...] = ()
    costs: Costs
    told: Callable[[Architecture, int], Mapping[str, float]]
    scored: Callable[[Architecture, int], NDArray[np.float64]]
    duration_s: Callable[[Architecture], float]
    scoring: Callable[[int], Scoring]
    n_boxes: int = 1

    @property
    def digest(self) -> str:
        """Changes with any of its boxes: runs that were scored in other ones can't be compared."""
        boxes = [self.scoring(seed) for seed in range(self.n_boxes)]
        numbers = [*(tuple(each) for box in boxes for each in (box.low, box.high)), *(box.true for box in boxes)]
        return sha256(repr(numbers).encode()).hexdigest()[:8]
