"""Scoring: the fixed box in which a study's hypervolume is taken, one for each device kind.

The box is frozen once and stored with the study, so that every hypervolume of a study can be compared with every
other. Strategies never see it.

Where the bounds come from, best to worst:
    error       0 to the majority class's error
    counts      the space's smallest to its largest count, on a logarithmic scale
    measured    a 16th of the smallest baseline's value to 4 times the largest one's, on a logarithmic scale
    any other   what the study file says (`best`, `worst`), or what the first results showed (`observed_bounds`)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasd.domain.objective import Objective, Source

REFERENCE = 1.05  # in normalised units: what is as bad as the worst bound still counts a little
MEASURED_WORST = 4.0  # times the largest baseline
MEASURED_BEST = 1 / 16  # times the smallest baseline: small networks are seldom more than a decade faster
OBSERVED_AFTER = 16  # results whose extremes bound a quantity that nobody gave bounds for

Bounds = Mapping[str, tuple[float, float]]

_TINY = 1e-12  # what a zero counts as on a logarithmic scale


def on_scale(losses: ArrayLike, objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Losses on the scale on which distances mean something: the logarithm where an objective spans decades.

    Args:
        losses: (n, m) or (m,), sign * value; NaN stays NaN.

    Returns:
        The same shape; a maximised quantity's logarithm is negated, so that smaller stays better.
    """
    return _scaled(
        np.asarray(losses, dtype=np.float64), [each.sign for each in objectives], [each.is_log for each in objectives]
    )


def _scaled(rows: NDArray[np.float64], signs: Sequence[int], is_log: Sequence[bool]) -> NDArray[np.float64]:
    if not any(is_log):
        return rows
    sign = np.asarray(signs, dtype=np.float64)
    logs = sign * np.log(np.maximum(sign * rows, _TINY))
    scaled: NDArray[np.float64] = np.where(np.asarray(is_log), logs, rows)
    return scaled


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringBox:
    """Bounds of each objective, as values in their own units; the normalised box is [0, 1] in every one.

    Attributes:
        best: the value that maps to 0.
        worst: the value that maps to 1; below `best` where the objective is maximised.
        signs: +1 minimised, -1 maximised.
        is_log: whether the line between the bounds is straight on the logarithm.
    """

    names: tuple[str, ...]
    best: tuple[float, ...]
    worst: tuple[float, ...]
    signs: tuple[int, ...]
    is_log: tuple[bool, ...]

    def __post_init__(self) -> None:
        columns = zip(self.names, self.best, self.worst, self.signs, self.is_log, strict=True)
        for name, best, worst, sign, is_log in columns:
            if not (np.isfinite(best) and np.isfinite(worst) and sign * best < sign * worst):
                raise ValueError(f"{name}: best = {best}, worst = {worst}: best must be better than worst")
            if is_log and min(best, worst) <= 0:
                raise ValueError(f"{name}: best = {best}, worst = {worst}: a logarithmic scale needs bounds above 0")

    def normalise(self, losses: ArrayLike) -> NDArray[np.float64]:
        """Losses in the box's units.

        Args:
            losses: (n, m), sign * value.

        Returns:
            (n, m) in [0, REFERENCE]: 0 at the best bound or better, 1 at the worst, cut at the reference; NaN stays.
        """
        rows = np.asarray(losses, dtype=np.float64).reshape(-1, len(self.names))
        low, span = _low_and_span(self)
        inside = (_scaled(rows, self.signs, self.is_log) - low) / span
        return np.minimum(np.maximum(inside, 0.0), REFERENCE)  # what np.clip does, without its price for a few rows

    def to_json(self) -> dict[str, object]:
        """What `from_json` takes; exact."""
        return {
            "names": list(self.names),
            "best": list(self.best),
            "worst": list(self.worst),
            "signs": list(self.signs),
            "is_log": list(self.is_log),
            "reference": REFERENCE,
        }

    @classmethod
    def from_json(cls, value: object) -> ScoringBox:
        """Read what `to_json` wrote.

        Raises:
            ValueError: not such a value, or made for another reference point.
        """
        if not isinstance(value, Mapping) or value.get("reference") != REFERENCE:
            raise ValueError(f"not a scoring box with reference {REFERENCE}: {value!r}")
        return cls(
            names=tuple(str(name) for name in value["names"]),
            best=tuple(float(bound) for bound in value["best"]),
            worst=tuple(float(bound) for bound in value["worst"]),
            signs=tuple(int(sign) for sign in value["signs"]),
            is_log=tuple(bool(flag) for flag in value["is_log"]),
        )


@lru_cache(maxsize=64)
def _low_and_span(box: ScoringBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The best bounds on the box's scale and the distances to the worst; for reading only. A study asks often."""
    sign = np.asarray(box.signs, dtype=np.float64)
    low, high = (_scaled(sign * np.asarray(edge), box.signs, box.is_log) for edge in (box.best, box.worst))
    return low, high - low


def hypervolume(box: ScoringBox, losses: ArrayLike) -> float:
    """How much of the box the rows dominate.

    Args:
        losses: (n, m), in any order, dominated ones allowed. Rows with a NaN and rows at or beyond the reference in
            one objective add nothing; n = 0 gives 0.0.

    Returns:
        The volume up to the reference point (1.05 in every objective) over the whole of it (1.05 ** m): in [0, 1].
    """
    rows = box.normalise(losses)
    rows = rows[~np.isnan(rows).any(axis=1)]
    if len(rows) == 0:
        return 0.0
    volume = moocore.hypervolume(rows, ref=np.full(len(box.names), REFERENCE))
    return min(1.0, float(volume) / REFERENCE ** len(box.names))


def box_for(
    objectives: Sequence[Objective],
    *,
    error_worst: float | None = None,
    count_extremes: Bounds | None = None,
    baseline_extremes: Bounds | None = None,
    bounds: Bounds | None = None,
) -> ScoringBox | None:
    """The box of one device kind's objectives.

    Args:
        error_worst: the majority class's error.
        count_extremes: name -> (smallest, largest) over the space (`nasd.domain.extremes`).
        baseline_extremes: name -> (smallest, largest) over the baselines' measured values.
        bounds: name -> (best, worst), in the quantity's own units; goes before every other source.

    Returns:
        None while a bound is still unknown: ask again when the baselines, or OBSERVED_AFTER results, are in.

    Raises:
        ValueError: bounds that contradict the objective's direction or scale.
    """
    edges = []
    for objective in objectives:
        edge = (bounds or {}).get(objective.name) or _edge(
            objective,
            error_worst=error_worst,
            counts=(count_extremes or {}).get(objective.name),
            measured=(baseline_extremes or {}).get(objective.name),
        )
        if edge is None:
            return None
        edges.append(edge)
    return ScoringBox(
        names=tuple(objective.name for objective in objectives),
        best=tuple(float(best) for best, _ in edges),
        worst=tuple(float(worst) for _, worst in edges),
        signs=tuple(objective.sign for objective in objectives),
        is_log=tuple(objective.is_log for objective in objectives),
    )


def _edge(
    objective: Objective,
    *,
    error_worst: float | None,
    counts: tuple[float, float] | None,
    measured: tuple[float, float] | None,
) -> tuple[float, float] | None:
    if objective.name == "val_error" and error_worst is not None:
        low, high = 0.0, error_worst
    elif objective.source is Source.COUNTED and counts is not None:
        low, high = counts[0], max(counts[1], counts[0] + 1)  # a space of one size still has a box
    elif objective.source is Source.MEASURED and measured is not None:
        low, high = MEASURED_BEST * max(measured[0], _TINY), MEASURED_WORST * max(measured[1], _TINY)
    else:
        return None
    return (low, high) if objective.sign > 0 else (high, low)


def observed_bounds(values: ArrayLike, objective: Objective) -> tuple[float, float] | None:
    """Bounds of a quantity that nobody gave bounds for, from the first OBSERVED_AFTER results.

    The worst is what was seen; the best is one range beyond what was seen, because a search improves on its start.

    Args:
        values: (n,), in the quantity's own units; NaN is left out.

    Returns:
        (best, worst); None while fewer than OBSERVED_AFTER values are known.
    """
    seen = np.asarray(values, dtype=np.float64)
    seen = seen[np.isfinite(seen)][:OBSERVED_AFTER]
    if len(seen) < OBSERVED_AFTER:
        return None
    losses = on_scale((objective.sign * seen)[:, None], [objective])[:, 0]
    low, high = float(losses.min()), float(losses.max())
    spread = (high - low) or max(abs(high), 1.0)
    best, worst = objective.sign * (low - spread), objective.sign * (high if high > low else low + spread)
    return (float(np.exp(best)), float(np.exp(worst))) if objective.is_log else (best, worst)
