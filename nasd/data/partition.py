"""Cutting rows into splits, the same on every machine: stratified, plain, or along a text."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]


def size_of(share: float, n: int) -> int:
    """How many of `n` rows a share is, rounded up, as scikit-learn's `train_test_split` rounds a test part."""
    return math.ceil(share * n - 1e-9)  # 0.1 * 30 is a little more than 3


def stratified(y: NDArray[np.int64], sizes: tuple[int, ...], *, seed: int) -> list[Rows]:
    """Row numbers of parts of the given `sizes`, then of the rest; disjoint, ascending, together every row.

    Each part has each class within one of its share. The order is drawn from PCG64's raw words, which numpy keeps the
    same for ever, where the streams of its distributions may change.
    """
    order = _order(len(y), seed)
    by_class = [order[y[order] == label] for label in np.unique(y)]
    parts = []
    for size in sizes:
        taken = _shares(np.array([len(rows) for rows in by_class]), size)
        parts.append(np.sort(np.concatenate([rows[:n] for rows, n in zip(by_class, taken, strict=True)])))
        by_class = [rows[n:] for rows, n in zip(by_class, taken, strict=True)]
    return [*parts, np.sort(np.concatenate(by_class))]


def plain(n: int, sizes: tuple[int, ...], *, seed: int) -> list[Rows]:
    """As `stratified`, for targets without classes."""
    return [np.sort(rows) for rows in np.split(_order(n, seed), np.cumsum(sizes))]


def contiguous(n: int, sizes: tuple[int, ...]) -> list[slice]:
    """A text's parts of the given `sizes` from its end backwards, then what is left at its beginning."""
    ends = n - np.cumsum((0, *sizes))
    return [
        *(slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=False)),
        slice(0, int(ends[-1])),
    ]


def _order(n: int, seed: int) -> Rows:
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")


def _shares(counts: NDArray[np.intp], size: int) -> list[int]:
    """`size` divided in proportion to `counts`, by largest remainder."""
    exact = counts * (size / counts.sum())
    shares = np.floor(exact).astype(int)
    largest = np.argsort(shares - exact, kind="stable")
    shares[largest[: size - int(shares.sum())]] += 1
    return [int(share) for share in shares]
