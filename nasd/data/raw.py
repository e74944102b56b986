"""Data as their source gave them, before they are checked, converted and cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.generic]

ALL = "all"  # the part of data that come uncut
TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)


class BadData(Exception):
    """What is wrong with the data and the remedy: a sentence whose subject, the study file's key, stands before it."""


class Samples(Protocol):
    """Inputs of any kind, by row: an array, or something that reads a row when it is asked for it."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[np.generic]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice | NDArray[np.intp], /) -> Array: ...


@dataclass(frozen=True, slots=True)
class Table:
    """Inputs with their targets, row by row; a text has its tokens as `x`, (n,), and no targets."""

    x: Samples
    y: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A data set: its parts by name, `ALL` or some of `PARTS`.

    Attributes:
        vocabulary: how many tokens there may be, where the source knows it.
        shares: of validation and test in `ALL`, where the data set has its own.
    """

    parts: Mapping[str, Table]
    vocabulary: int | None = None
    shares: tuple[float, float] | None = None

    @property
    def pool(self) -> Table:
        """What missing parts are cut from."""
        return self.parts[ALL] if ALL in self.parts else self.parts[TRAIN]

    @property
    def missing(self) -> tuple[str, ...]:
        """Parts to be cut, in the order in which they are."""
        return tuple(part for part in (TEST, VALIDATION) if part not in self.parts)


def text(content: bytes) -> Table:
    """A text's bytes as tokens."""
    return Table(np.frombuffer(content, dtype=np.uint8))
