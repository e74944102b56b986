"""Targets as each task needs them, and whether they fit it at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nasd.data.raw import Array, BadData
from nasd.domain.data import Task

Encoded = NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Targets of every part, ready to train with.

    Attributes:
        classes: what the class numbers stand for, where the source did not have 0 to k - 1 itself.
    """

    parts: Mapping[str, Encoded]
    n_outputs: int
    classes: tuple[str, ...] = ()


def encode(task: Task, parts: Mapping[str, Array]) -> Targets:
    """(n,) int64 class numbers, or (n, n_outputs) float32, by part.

    Raises:
        BadData: they are not what the task needs.
    """
    flat = {name: _plain(y) for name, y in parts.items()}
    return _ENCODERS[task](flat)


def _plain(y: Array) -> Array:
    """Text as text, a column as a row of numbers."""
    if y.dtype.kind == "O" and all(isinstance(value, str) for value in y.flat):
        y = y.astype(str)
    if y.dtype.kind == "S":
        y = y.astype(str)  # ASCII alone; numpy refuses other bytes
    if y.dtype.kind not in "biufU":
        raise BadData(f"the targets are {y.dtype}. Give numbers, or class names as text")
    if y.ndim not in (1, 2):
        raise BadData(f"the targets have the shape {y.shape}. Give one value, or one row of values, for each sample")
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _classes(parts: Mapping[str, Array]) -> Targets:
    for y in parts.values():
        if y.ndim == 2:
            raise BadData(
                f'the targets have the shape {y.shape}, and train.task = "classification" needs one class for each '
                'sample. Set train.task = "multilabel", or give class numbers (argmax of one-hot rows)'
            )
        if y.dtype.kind == "f":
            raise BadData(
                f'the targets are {y.dtype}, and train.task = "classification" needs whole numbers or names. '
                'Set train.task = "regression", or convert them'
            )
    _same_kind(parts)
    labels = np.unique(np.concatenate([np.unique(y) for y in parts.values()]))
    if len(labels) < 2:
        raise BadData(f"the targets have one class only, {labels[0]}. Give samples of at least two")
    is_counted = labels.dtype.kind in "iu" and np.array_equal(labels, np.arange(len(labels)))
    return Targets(
        parts={name: np.searchsorted(labels, y).astype(np.int64) for name, y in parts.items()},
        n_outputs=len(labels),
        classes=() if is_counted else tuple(str(label) for label in labels.tolist()),
    )


def _numbers(parts: Mapping[str, Array]) -> Targets:
    columns = {name: _columns(y, "regression") for name, y in parts.items()}
    return Targets(parts=columns, n_outputs=_width(columns))


def _labels(parts: Mapping[str, Array]) -> Targets:
    columns = {name: _columns(y, "multilabel") for name, y in parts.items()}
    for y in columns.values():
        if not np.isin(y, (0, 1)).all():
            value = y[~np.isin(y, (0, 1))][0]
            raise BadData(
                f'the targets hold {value:g}, and train.task = "multilabel" needs zeros and ones, a column for each '
                'label. Set train.task = "regression" or "classification", or convert them'
            )
    return Targets(parts=columns, n_outputs=_width(columns))


def _columns(y: Array, task: str) -> NDArray[np.float32]:
    if y.dtype.kind == "U":
        remedy = 'Set train.task = "classification", or convert them'
        raise BadData(f'the targets are text, and train.task = "{task}" needs numbers. {remedy}')
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(y.reshape(len(y), -1).astype(np.float32), dtype="<f4")
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise BadData(f"row {row} of the targets has a value that is not finite. Remove or fill in such rows")
    return numbers


def _same_kind(parts: Mapping[str, Array]) -> None:
    for (first, a), (name, b) in pairwise(parts.items()):
        if (a.dtype.kind == "U") != (b.dtype.kind == "U"):
            raise BadData(f"targets of {first} are {a.dtype}, those of {name} {b.dtype}. Make the types equal")


def _width(columns: Mapping[str, NDArray[np.float32]]) -> int:
    widths: dict[str, int] = {name: y.shape[1] for name, y in columns.items()}
    if len(set(widths.values())) > 1:
        raise BadData(f"the parts have different numbers of targets: {widths}. Make them equal")
    return next(iter(widths.values()))


def _text(_: Mapping[str, Array]) -> Targets:
    raise BadData('there are targets, and train.task = "lm" needs a text or a list of tokens. Change train.task')


_ENCODERS: Mapping[Task, Callable[[Mapping[str, Array]], Targets]] = {
    Task.CLASSIFICATION: _classes,
    Task.REGRESSION: _numbers,
    Task.MULTILABEL: _labels,
    Task.LM: _text,
}


def trivial_error(task: Task, train_y: Encoded, validation_y: Encoded) -> float:
    """The validation error of the best constant answer that the training targets teach.

    Classification: the share of samples outside the commonest class. Multilabel: the share of wrong labels where each
    label has its commonest value. Regression: 1, since errors are divided by those of the mean.
    """
    if task is Task.REGRESSION:
        return 1.0
    if task is Task.MULTILABEL:
        return float(np.mean(validation_y != (train_y.mean(axis=0) > 0.5)))
    return float(np.mean(validation_y != commonest(train_y)))


def commonest(tokens: Array) -> int:
    """Of non-negative whole numbers."""
    values, counts = np.unique(tokens, return_counts=True)
    return int(values[np.argmax(counts)])
