"""Statistics of paired runs: intervals, one-sided tests against a margin, arrivals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

MARGIN = 0.01  # of normalised hypervolume
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % interval (Student's t); NaN bounds where n < 2."""

    mean: float
    low: float
    high: float
    n: int


def interval(values: ArrayLike) -> Interval:
    """Of no values: NaN."""
    seen = np.asarray(values, dtype=np.float64)
    n = len(seen)
    if n == 0:
        return Interval(nan, nan, nan, 0)
    mean = float(seen.mean())
    if n == 1:
        return Interval(mean, nan, nan, 1)
    half = float(stats.t.ppf(0.975, n - 1)) * float(seen.std(ddof=1)) / sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def p_above(differences: ArrayLike, margin: float) -> float:
    """The one-sided paired t-test's p of "the mean difference is at most `margin`"; NaN where n < 2."""
    seen = np.asarray(differences, dtype=np.float64) - margin
    n = len(seen)
    if n < 2:
        return nan
    mean, sd = float(seen.mean()), float(seen.std(ddof=1))
    if sd == 0.0:
        return 0.0 if mean > 0 else 1.0
    return float(stats.t.sf(mean / (sd / sqrt(n)), n - 1))


def verdict(difference: Interval, *, p_ahead: float, p_not_behind: float) -> str:
    """What the corrected tests show of a champion against a rival.

    Args:
        difference: champion minus rival.
        p_ahead: of "not above 0".
        p_not_behind: of "behind by MARGIN or more".
    """
    if difference.n < 2:
        return "too few seeds"
    if difference.mean >= MARGIN and p_ahead < ALPHA:
        return f"ahead by >= {MARGIN:g}"
    if p_not_behind < ALPHA:
        return f"not behind by more than {MARGIN:g}"
    return "behind" if difference.mean < 0 else "not shown"


def arrival(curve: ArrayLike, share: float) -> float:
    """After how many evaluations a curve of normalised hypervolume is at `share`; inf where it never is."""
    there = np.flatnonzero(np.asarray(curve) >= share)
    return float(there[0] + 1) if len(there) else inf


def median(values: Sequence[float]) -> float:
    """Of numbers among which inf is one; the mean of the middle two, inf where one of them is."""
    ordered = sorted(values)
    if not ordered:
        return nan
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2
