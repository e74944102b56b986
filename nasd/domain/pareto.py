"""Pareto mathematics: which rows no other row beats, and a front that is kept up to date as rows arrive.

Knows losses (always minimised) and trial numbers; nothing of studies, devices or feasibility: the caller hands over
only rows that may be on a front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasd.domain.ids import TrialNumber

_FIRST_CAPACITY = 64


def non_dominated(losses: ArrayLike) -> NDArray[np.bool_]:
    """Mark the rows no other row beats.

    Args:
        losses: (n, m), every column minimised. A row with a NaN is never marked and beats nothing.

    Returns:
        (n,) mask; equal rows are all marked; n = 0 gives an empty mask.

    Source: Deb et al. 2002, NSGA-II, section III-A (definition only; the algorithm is moocore's).
    """
    rows = np.asarray(losses, dtype=np.float64)
    if rows.size == 0:
        return np.zeros(len(rows), dtype=np.bool_)
    mask: NDArray[np.bool_] = np.logical_not(np.isnan(rows).any(axis=1))
    if mask.any():
        mask[mask] = moocore.is_nondominated(rows[mask], keep_weakly=True)
    return mask


@dataclass(frozen=True, slots=True)
class Change:
    """What one operation did to a front's membership, numbers ascending.

    A member whose losses changed and that stays a member has neither entered nor left.
    """

    entered: tuple[TrialNumber, ...] = ()
    left: tuple[TrialNumber, ...] = ()


@dataclass(frozen=True, slots=True)
class Insertion:
    """What one new row did: whether it entered, and which members it beat (numbers ascending)."""

    entered: bool
    left: tuple[TrialNumber, ...] = ()


class Front:
    """The non-dominated rows among those seen so far, by trial number.

    Law (tests/property/test_pareto.py): after any mix of insertions and rebuilds the members are those that brute
    force finds among the present rows. `insert` is the fast path for a new row; a row that changed or was retracted
    needs `rebuild`, because what a departed member beat is not remembered here.
    """

    def __init__(self, n_objectives: int) -> None:
        if n_objectives < 1:
            raise ValueError(f"a front has at least one objective, got {n_objectives}")
        self._losses = np.empty((_FIRST_CAPACITY, n_objectives))
        self._numbers = np.empty(_FIRST_CAPACITY, dtype=np.int64)
        self._size = 0
        self._present: set[int] = set()

    def __len__(self) -> int:
        return self._size

    def __contains__(self, number: object) -> bool:
        return number in self._present

    def members(self) -> tuple[TrialNumber, ...]:
        """Trial numbers, ascending: the order says nothing about how the front came to be."""
        return tuple(TrialNumber(number) for number in sorted(self._present))

    def losses(self) -> NDArray[np.float64]:
        """(size, m), a copy, rows in the order of `members`."""
        order = np.argsort(self._numbers[: self._size])
        return self._losses[: self._size][order]

    def insert(self, number: TrialNumber, losses: ArrayLike) -> Insertion:
        """Take in a row that is new; its cost grows with the front, not with the history.

        Args:
            losses: (m,); with a NaN it never enters.

        Raises:
            ValueError: `number` is a member already (a changed row needs `rebuild`), or m is another one.
        """
        row = self._row(losses)
        if number in self._present:
            raise ValueError(f"trial {number} is on the front already; a changed row needs rebuild()")
        if np.isnan(row).any():
            return Insertion(entered=False)
        present = self._losses[: self._size]
        no_worse = (present <= row).all(axis=1)
        no_better = (present >= row).all(axis=1)
        if (no_worse > no_better).any():  # a member is no worse in all and better in one
            return Insertion(entered=False)
        left = self._drop(no_better > no_worse)
        self._append(number, row)
        return Insertion(entered=True, left=left)

    def would_enter(self, losses: ArrayLike) -> bool:
        """Whether no member beats this row, which has no NaN."""
        row, present = self._row(losses), self._losses[: self._size]
        return not ((present <= row).all(axis=1) & (present < row).any(axis=1)).any()

    def remove(self, number: TrialNumber) -> bool:
        """Forget a member without bringing back what it had beaten (`rebuild` does that); False if it is none."""
        if number not in self._present:
            return False
        self._drop(self._numbers[: self._size] == number)
        return True

    def rebuild(self, numbers: Sequence[TrialNumber], losses: ArrayLike) -> Change:
        """Make this the front of exactly these rows.

        Args:
            numbers: (n,) distinct trial numbers.
            losses: (n, m) their rows; those with a NaN are left out.
        """
        rows = np.asarray(losses, dtype=np.float64).reshape(len(numbers), self._losses.shape[1])
        keep = non_dominated(rows)
        kept = np.asarray(numbers, dtype=np.int64)[keep]
        before, after = self._present, {int(number) for number in kept}
        if len(after) != len(kept):
            raise ValueError("rebuild() needs distinct trial numbers")
        self._present, self._size = after, len(kept)
        capacity = max(_FIRST_CAPACITY, 2 * len(kept))
        self._losses = np.empty((capacity, rows.shape[1]))
        self._numbers = np.empty(capacity, dtype=np.int64)
        self._losses[: self._size], self._numbers[: self._size] = rows[keep], kept
        return Change(entered=_ascending(after - before), left=_ascending(before - after))

    def _row(self, losses: ArrayLike) -> NDArray[np.float64]:
        row = np.asarray(losses, dtype=np.float64)
        if row.shape != self._losses.shape[1:]:
            raise ValueError(f"a row of this front has {self._losses.shape[1]} losses, got shape {row.shape}")
        return row

    def _drop(self, beaten: NDArray[np.bool_]) -> tuple[TrialNumber, ...]:
        if not beaten.any():
            return ()
        left = {int(number) for number in self._numbers[: self._size][beaten]}
        stays = ~beaten
        n = int(stays.sum())
        self._losses[:n] = self._losses[: self._size][stays]
        self._numbers[:n] = self._numbers[: self._size][stays]
        self._size = n
        self._present -= left
        return _ascending(left)

    def _append(self, number: TrialNumber, row: NDArray[np.float64]) -> None:
        if self._size == len(self._numbers):
            self._losses = np.concatenate([self._losses, np.empty_like(self._losses)])
            self._numbers = np.concatenate([self._numbers, np.empty_like(self._numbers)])
        self._losses[self._size], self._numbers[self._size] = row, number
        self._size += 1
        self._present.add(int(number))


def _ascending(numbers: set[int]) -> tuple[TrialNumber, ...]:
    return tuple(TrialNumber(number) for number in sorted(numbers))
