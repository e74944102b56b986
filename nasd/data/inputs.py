"""Inputs of any kind as the float32 arrays that networks take. The rules by shape and type:

| given | becomes |
| --- | --- |
| (n,) | (n, 1) |
| (n, features) | the same |
| (n, a, b) uint8 | grey images, (n, 1, a, b) |
| (n, a, b) other | (n, channels a, length b) |
| (n, a, b, c), c = 1 or 3 and a > 4 | images with channels last, (n, c, a, b) |
| (n, a, b, c) other | (n, channels a, height b, width c) |
| uint8 | divided by 255 |
| other numbers, bool | as they are |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasd.data.raw import Array, BadData, Samples, Table

_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows of one kind become inputs.

    Attributes:
        shape: of one sample when it is done.
        is_bytes: values are 0 to 255.
        is_channels_last: the last axis comes first.
    """

    shape: tuple[int, ...]
    is_bytes: bool
    is_channels_last: bool

    def converted(self, rows: Array) -> NDArray[np.float32]:
        """(m, *shape) of m raw rows; what float32 can't hold becomes infinite."""
        with np.errstate(over="ignore"):
            x = np.asarray(rows).astype(np.float32)
        if self.is_channels_last:
            x = np.moveaxis(x, -1, 1)
        x = np.ascontiguousarray(x.reshape(len(x), *self.shape), dtype="<f4")
        return x / np.float32(255) if self.is_bytes else x


def layout_of(samples: Samples) -> Layout:
    """How `samples` are to be read.

    Raises:
        BadData: they are no numbers, or have no shape that a network takes.
    """
    kind, shape = samples.dtype.kind, tuple(samples.shape[1:])
    if kind not in "biuf":
        raise BadData(f"the inputs are {samples.dtype}, not numbers. Convert them to float32 or uint8")
    if 0 in shape:
        raise BadData(f"the inputs have the shape {samples.shape}: a sample holds nothing. Correct the data")
    is_bytes = samples.dtype == np.uint8
    if len(shape) > 3:
        raise BadData(
            f"the inputs have the shape {samples.shape}: a sample has at most three axes (channels, height, width). "
            "Reshape them"
        )
    if len(shape) == 3 and shape[-1] in (1, 3) and shape[0] > 4:
        return Layout((shape[2], shape[0], shape[1]), is_bytes, is_channels_last=True)
    if len(shape) == 2 and is_bytes:
        shape = (1, *shape)
    return Layout(shape or (1,), is_bytes, is_channels_last=False)


def common_layout(parts: Mapping[str, Table]) -> Layout:
    """The one layout of all parts.

    Raises:
        BadData: they differ, or one can't be read.
    """
    (first, table), *others = parts.items()
    layout = layout_of(table.x)
    for name, other in others:
        found = layout_of(other.x)
        if found.shape != layout.shape:
            raise BadData(
                f"samples of {first} have the shape {layout.shape}, those of {name} {found.shape}. Make them equal"
            )
        if found.is_bytes != layout.is_bytes:
            raise BadData(
                f"inputs of {first} are {table.x.dtype}, those of {name} {other.x.dtype}, and uint8 is divided by 255. "
                "Make the types equal"
            )
    return layout


def chunks(samples: Samples, rows: NDArray[np.intp] | None, layout: Layout) -> Iterator[NDArray[np.float32]]:
    """The inputs, converted, a few at a time; `rows` of them (None: all), in that order.

    Raises:
        BadData: a value is not finite, or too big for float32.
    """
    n = len(samples) if rows is None else len(rows)
    step = max(1, _CHUNK_BYTES // (4 * int(np.prod(layout.shape))))
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        x = layout.converted(samples[part if rows is None else rows[part]])
        if not np.isfinite(x).all():
            bad = start + int(np.flatnonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))[0])
            row = bad if rows is None else int(rows[bad])
            raise BadData(
                f"row {row} of the inputs (from 0) has a value that is not finite. Remove or fill in such rows"
            )
        yield x
