"""What a device kind would measure of an architecture, learned from its own measurements.

Used to choose what is measured next and for nothing else: fronts contain measurements alone. A ridge regression of the
value's logarithm on the space's encoding and the logarithms of the exact counts; its strength, and the error that is
shown, come from leaving out one measurement at a time, in closed form (Hastie, Tibshirani, Friedman 2009, eq. 7.52).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasd.controller.mind import StudyMind
from nasd.domain.architecture import Architecture
from nasd.domain.ids import DeviceKind, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import value_name

Array = NDArray[np.float64]

LEAST = 8  # measurements before anything is predicted
MOST = 400  # the newest that it learns from
_STRENGTHS = 10.0 ** np.arange(-3.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How well the values left out were predicted.

    Attributes:
        mape: mean absolute error relative to the measured value.
        rank_correlation: Spearman's.
    """

    n: int
    mape: float
    rank_correlation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorQuality:
    """Of one quantity on one device kind; `on_front` None where it has fewer than three members."""

    device_kind: DeviceKind
    quantity: str
    all: Quality
    on_front: Quality | None


@dataclass(frozen=True, slots=True)
class Predictor:
    """A fitted regression.

    Attributes:
        seen: (n,) what was measured.
        left_out: (n,) what the model without it says of each measurement, in the quantity's own unit.
    """

    mean: Array
    scale: Array
    weights: Array
    intercept: float
    seen: Array
    left_out: Array

    def predict(self, features: Array) -> Array:
        """(n,) values in the quantity's own unit.

        Args:
            features: (n, d).
        """
        logs = self.intercept + ((features - self.mean) / self.scale) @ self.weights
        return np.asarray(np.exp(logs), dtype=np.float64)


def fit(features: Array, values: Array) -> Predictor | None:
    """The regression that predicts best what it has not seen; None for fewer than LEAST rows.

    Args:
        features: (n, d), finite.
        values: (n,), above 0.
    """
    if len(values) < LEAST:
        return None
    target, mean, spread = np.log(values), features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 1e-12, spread, 1.0)
    rows = (features - mean) / scale  # (n, d), centred: constant columns are 0
    intercept = float(target.mean())
    eigenvalues, vectors = np.linalg.eigh(rows @ rows.T)
    eigenvalues, turned = np.maximum(eigenvalues, 0.0), vectors.T @ (target - intercept)
    best, least = _STRENGTHS[0], np.inf
    errors = np.zeros_like(target)
    for strength in _STRENGTHS:
        shrunk = eigenvalues / (eigenvalues + strength)
        fitted = vectors @ (shrunk * turned)
        leverage = (vectors**2) @ shrunk + 1 / len(target)
        residual = (target - intercept - fitted) / np.maximum(1 - leverage, 1e-6)
        if float(residual @ residual) < least:
            best, least, errors = strength, float(residual @ residual), residual
    weights = rows.T @ (vectors @ (turned / (eigenvalues + best)))
    return Predictor(mean, scale, weights, intercept, values, np.exp(target - errors))


def features(mind: StudyMind, architectures: Sequence[Architecture]) -> Array:
    """(n, d): the space's encoding, and the logarithms of the counts where the space knows them."""
    space, rows = mind.parts.space, []
    for architecture in architectures:
        counts = space.counts(architecture) if mind.spec.is_counted_ahead else {}
        rows.append(np.concatenate([space.encode(architecture), np.log1p([float(n) for n in counts.values()])]))
    return np.array(rows, dtype=np.float64)


def measured(mind: StudyMind, kind: DeviceKind, quantity: str) -> tuple[list[TrialNumber], Array]:
    """(the newest MOST trials that have a value of it on `kind`, ascending, their values)."""
    column = [each.name for each in mind.history.objectives].index(value_name(quantity, kind))
    losses, sign = mind.history.losses[:, column], mind.history.objectives[column].sign
    known = np.flatnonzero(np.isfinite(losses) & (sign * losses > 0))
    numbers = [TrialNumber(n) for n in known.tolist() if mind.history.state(TrialNumber(n)) is State.COMPLETED][-MOST:]
    return numbers, sign * losses[np.asarray(numbers, dtype=np.intp)]


def predictor_of(mind: StudyMind, kind: DeviceKind, quantity: str) -> Predictor | None:
    """Learned from what `kind` measured so far; None while that is too little."""
    numbers, values = measured(mind, kind, quantity)
    if len(numbers) < LEAST:
        return None
    return fit(features(mind, [mind.history.architectures[number] for number in numbers]), values)


def predictor_quality(mind: StudyMind, kind: DeviceKind, quantity: str = "latency_ms") -> PredictorQuality | None:
    """How far what it would have said of each measurement lies from it; None while there are too few.

    Args:
        quantity: an objective that is measured on `kind`.
    """
    numbers, values = measured(mind, kind, quantity)
    model = predictor_of(mind, kind, quantity)
    if model is None:
        return None
    members = np.array([number in mind.fronts[kind] for number in numbers], dtype=np.bool_)
    is_shown = members.sum() >= 3
    return PredictorQuality(
        device_kind=kind,
        quantity=quantity,
        all=_quality(model.left_out, values),
        on_front=_quality(model.left_out[members], values[members]) if is_shown else None,
    )


def _quality(predicted: Array, values: Array) -> Quality:
    return Quality(
        n=len(values),
        mape=float(np.mean(np.abs(predicted / values - 1))),
        rank_correlation=rank_correlation(predicted, values),
    )


def rank_correlation(one: Array, other: Array) -> float:
    """Spearman's, equal values sharing their mean rank; 0.0 where one of them never varies."""
    first, second = _ranks(one), _ranks(other)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: Array) -> Array:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Array = ((ends - counts + ends - 1) / 2)[place]
    return ranks
