"""Loading a data set and cutting it into train, validation and test, the same on every machine.

Only `nasd.data` and `nasd.data.final` import this module.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasd.domain.seeding import seed_of
from nasd.domain.study import DataSpec
from nasd.errors import Unavailable, UserError

Inputs = NDArray[np.float32]
Targets = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSplit:
    """What a search may see: (n, *input_shape) inputs and (n,) class numbers; read-only.

    Attributes:
        sha256: of `train` and `validation`, as in `DataFacts`.
    """

    name: str
    n_classes: int
    train_x: Inputs
    train_y: Targets
    validation_x: Inputs
    validation_y: Targets
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All three splits."""

    search: SearchSplit
    test_x: Inputs
    test_y: Targets


@dataclass(frozen=True, slots=True)
class _DataSet:
    load: Callable[[], tuple[Inputs, Targets]]
    n_validation: int
    n_test: int


def _digits() -> tuple[Inputs, Targets]:
    """1,797 handwritten digits of 8x8 pixels, flattened; grey values 0 to 16 become [0, 1]."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise Unavailable('data.use = "digits": needs scikit-learn, which is not installed. pip install "nasd[train]"')
    file = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if file.exists():  # what `load_digits` reads; importing it takes 1.4 s and 70 MiB in every process
        table = np.loadtxt(file, delimiter=",")
        x, y = table[:, :-1], table[:, -1]
    else:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
    return (x / 16.0).astype(np.float32), y.astype(np.int64)


_DATA_SETS: Mapping[str, _DataSet] = {
    "digits": _DataSet(load=_digits, n_validation=360, n_test=360),
}


@functools.cache
def load(spec: DataSpec) -> Parts:
    """Load and cut once a process.

    Raises:
        UserError: no data set has that name.
        Unavailable: the package that holds it is not installed.
    """
    data = _DATA_SETS.get(spec.use)
    if data is None:
        raise UserError(f'data.use = "{spec.use}": no such data set; known: {", ".join(_DATA_SETS)}')
    x, y = data.load()
    rows = stratified(y, (data.n_test, data.n_validation), seed=seed_of("split", spec.use, spec.seed))
    (test_x, test_y), (validation_x, validation_y), (train_x, train_y) = (_cut(x, y, part) for part in rows)
    search = SearchSplit(
        name=spec.use,
        n_classes=int(y.max()) + 1,
        train_x=train_x,
        train_y=train_y,
        validation_x=validation_x,
        validation_y=validation_y,
        sha256={"train": sha256(train_x, train_y), "validation": sha256(validation_x, validation_y)},
    )
    return Parts(search=search, test_x=test_x, test_y=test_y)


def sha256(x: Inputs, y: Targets) -> str:
    """Over the little-endian bytes of inputs (float32), then targets (int64), in order."""
    return hashlib.sha256(x.astype("<f4").tobytes() + y.astype("<i8").tobytes()).hexdigest()


def stratified(y: Targets, sizes: tuple[int, ...], *, seed: int) -> list[NDArray[np.intp]]:
    """Row numbers of parts of the given `sizes`, then of the rest; disjoint, ascending, together every row.

    Each part has each class within one of its share. The order is drawn from PCG64's raw words, which numpy keeps the
    same for ever, where the streams of its distributions may change.
    """
    order = np.argsort(np.random.PCG64(seed).random_raw(len(y)), kind="stable")
    by_class = [order[y[order] == label] for label in np.unique(y)]
    parts = []
    for size in sizes:
        taken = _shares(np.array([len(rows) for rows in by_class]), size)
        parts.append(np.sort(np.concatenate([rows[:n] for rows, n in zip(by_class, taken, strict=True)])))
        by_class = [rows[n:] for rows, n in zip(by_class, taken, strict=True)]
    return [*parts, np.sort(np.concatenate(by_class))]


def _shares(counts: NDArray[np.intp], size: int) -> list[int]:
    """`size` divided in proportion to `counts`, by largest remainder."""
    exact = counts * (size / counts.sum())
    shares = np.floor(exact).astype(int)
    largest = np.argsort(shares - exact, kind="stable")
    shares[largest[: size - int(shares.sum())]] += 1
    return [int(share) for share in shares]


def _cut(x: Inputs, y: Targets, rows: NDArray[np.intp]) -> tuple[Inputs, Targets]:
    part = np.ascontiguousarray(x[rows]), np.ascontiguousarray(y[rows])
    for array in part:
        array.flags.writeable = False
    return part
