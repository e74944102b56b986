"""Gaussian-process regression with a sum of Matern-5/2 kernels, each over its own columns with a scale for each.

Hyperparameters are the most likely ones under log-normal priors that expect little of any single column (the more
columns, the less), so that a hundred columns and twenty rows still make a model.

Source: Rasmussen and Williams 2006, sections 2.2, 5.4.1, 5.4.2 (leave one out in closed form); Hvarfner et al. 2024 for
scales that grow with the root of the dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]

_NOISE = 0.05  # of the targets' variance, expected
_JITTER = 1e-6
_SCALE = 0.3  # logarithm of a column's expected inverse length, times the root of their number
_SCALE_SPREAD = 1.2
_ITERATIONS = 30
_HOPELESS = 1e10


@dataclass(frozen=True, slots=True)
class Kernel:
    """Which columns each part of the sum reads."""

    parts: tuple[tuple[int, ...], ...]

    @property
    def n_hyperparameters(self) -> int:
        return 1 + sum(1 + len(part) for part in self.parts)

    def prior(self) -> tuple[Array, Array]:
        """Means and deviations of the hyperparameters: noise, then of each part its variance and inverse lengths.

        All are logarithms; targets have unit variance.
        """
        means, spreads = [log(_NOISE)], [1.0]
        for part in self.parts:
            means += [-log(len(self.parts)), *[_SCALE - 0.5 * log(len(part))] * len(part)]
            spreads += [1.0, *[_SCALE_SPREAD] * len(part)]
        return np.array(means), np.array(spreads)

    def bounds(self) -> list[tuple[float, float]]:
        """What the search for hyperparameters keeps to."""
        found = [(log(1e-4), 1.0)]
        for part in self.parts:
            found += [(-5.0, 3.0), *[(-6.0, 3.0)] * len(part)]
        return found

    def unpacked(self, theta: Array) -> list[tuple[Array, float, Array]]:
        """(columns, variance, inverse lengths) of each part."""
        found, at = [], 1
        for part in self.parts:
            end = at + 1 + len(part)
            found.append((np.array(part), exp(theta[at]), np.exp(theta[at + 1 : end])))
            at = end
        return found


class GaussianProcess:
    """A posterior given rows.

    Attributes:
        theta: its hyperparameters, as `Kernel.prior` orders them.
        evidence: logarithm of the targets' likelihood times the prior, up to a constant.
    """

    def __init__(self, kernel: Kernel, rows: Array, targets: Array, *, theta: Array | None = None) -> None:
        """Condition on the rows.

        Args:
            rows: (n, d), n > 0.
            targets: (n,) finite.
            theta: hyperparameters found earlier; None: find them now.
        """
        self._kernel, self._rows = kernel, rows
        self._mean, self._spread = float(targets.mean()), float(targets.std()) + 1e-9
        unit = (targets - self._mean) / self._spread
        self.theta = _most_likely(kernel, rows, unit) if theta is None else np.asarray(theta, dtype=np.float64)
        self.evidence = -_surprise(self.theta, kernel, rows, unit)[0]
        self._parts = kernel.unpacked(self.theta)
        self._variance = sum(variance for _, variance, _ in self._parts)
        covariance = self._covariance(rows, rows)
        covariance[np.diag_indices(len(rows))] += exp(self.theta[0]) + _JITTER
        self._factor = np.linalg.cholesky(covariance)
        self._weights: Array = cho_solve((self._factor, True), unit)
        self._unit = unit

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Means and standard deviations of the noiseless function at (k, d) rows: (k,), (k,)."""
        across = self._covariance(rows, self._rows)  # (k, n)
        solved = solve_triangular(self._factor, across.T, lower=True)  # (n, k)
        variance = np.maximum(self._variance - (solved * solved).sum(axis=0), 1e-9)
        mean: Array = across @ self._weights * self._spread + self._mean
        return mean, np.sqrt(variance) * self._spread

    def left_out(self) -> Array:
        """(n,) what each target would be predicted as without its own row."""
        inverse = solve_triangular(self._factor, np.eye(len(self._unit)), lower=True)
        precision = (inverse * inverse).sum(axis=0)
        predicted: Array = (self._unit - self._weights / precision) * self._spread + self._mean
        return predicted

    def _covariance(self, one: Array, other: Array) -> Array:
        total: Array = np.zeros((len(one), len(other)))
        for columns, variance, scales in self._parts:
            total += variance * _matern(_squares(one[:, columns] * scales, other[:, columns] * scales))[0]
        return total


def _squares(one: Array, other: Array) -> Array:
    """Squared distances between rows."""
    squares: Array = (one * one).sum(axis=1)[:, None] + (other * other).sum(axis=1)[None] - 2 * one @ other.T
    return np.maximum(squares, 0.0)


def _matern(squares: Array) -> tuple[Array, Array]:
    """The Matern-5/2 correlation at squared distances, and minus 6/5 of its derivative by them."""
    distance = np.sqrt(5 * squares)
    decay = np.exp(-distance)
    slope: Array = (1 + distance) * decay
    return slope + distance * distance / 3 * decay, slope


def _surprise(theta: Array, kernel: Kernel, rows: Array, targets: Array) -> tuple[float, Array]:
    """Minus the logarithm of likelihood times prior, and its gradient."""
    n = len(rows)
    noise = exp(theta[0])
    covariance = np.zeros((n, n))
    parts = []
    for columns, variance, scales in kernel.unpacked(theta):
        own = rows[:, columns]
        squares = _squares(own * scales, own * scales)
        squares[np.diag_indices(n)] = 0.0
        correlation, slope = _matern(squares)
        covariance += variance * correlation
        parts.append((own, variance, scales * scales, correlation, slope))
    covariance[np.diag_indices(n)] += noise + _JITTER
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:  # the search walked to where rounding makes the matrix indefinite
        return _HOPELESS, np.zeros_like(theta)
    inverse = cho_solve((factor, True), np.eye(n))
    weights = inverse @ targets
    means, spreads = kernel.prior()
    away = (theta - means) / spreads
    value = 0.5 * float(targets @ weights) + float(np.log(np.diag(factor)).sum()) + 0.5 * float(away @ away)
    pull = np.outer(weights, weights) - inverse  # minus twice the derivative of the value by the covariance
    gradient = [-0.5 * float(np.trace(pull)) * noise]
    for own, variance, precision, correlation, slope in parts:
        gradient.append(-0.5 * float((pull * correlation).sum()) * variance)
        towards = pull * slope * (-5 / 6 * variance)
        moved = 2 * (towards.sum(axis=1) @ (own * own)) - 2 * ((towards @ own) * own).sum(axis=0)
        gradient.extend(-moved * precision)
    return value, np.array(gradient) + away / spreads


def _most_likely(kernel: Kernel, rows: Array, targets: Array) -> Array:
    means, _ = kernel.prior()
    found = minimize(
        _surprise,
        means,
        args=(kernel, rows, targets),
        jac=True,
        method="L-BFGS-B",
        bounds=kernel.bounds(),
        options={"maxiter": _ITERATIONS},
    )
    theta: Array = found.x
    return theta


class Mixture:
    """Several posteriors of the same targets, each weighted by its evidence: a small ensemble of kernels."""

    def __init__(self, members: Sequence[GaussianProcess]) -> None:
        self._members = tuple(members)
        evidence = np.array([member.evidence for member in self._members])
        weights = np.exp(evidence - evidence.max())
        self._weights: Array = weights / weights.sum()

    @property
    def thetas(self) -> list[list[float]]:
        """Hyperparameters of each member."""
        return [member.theta.tolist() for member in self._members]

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Means and standard deviations of the mixture at (k, d) rows."""
        means, spreads = (np.array(each) for each in zip(*(one.predict(rows) for one in self._members), strict=True))
        mean = self._weights @ means
        variance = self._weights @ (spreads**2 + means**2) - mean**2
        return mean, np.sqrt(np.maximum(variance, 1e-18))

    def left_out(self) -> Array:
        """(n,) as of a single posterior."""
        predicted: Array = self._weights @ np.array([member.left_out() for member in self._members])
        return predicted


def rank_correlation(one: Array, other: Array) -> float:
    """Kendall's tau-b; 0.0 where either is constant."""
    pairs = np.triu_indices(len(one), k=1)
    first, second = (np.sign(np.subtract.outer(each, each)[pairs]) for each in (one, other))
    norm = sqrt(float((first * first).sum()) * float((second * second).sum()))
    return float((first * second).sum()) / norm if norm > 0 else 0.0
