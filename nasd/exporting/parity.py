"""Parity: whether a written file answers as the trained network does."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from math import isfinite
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nasd.errors import UserError
from nasd.exporting.formats import ALWAYS, Array, Written
from nasd.runtimes.onnx_export import TOLERANCE, largest_difference

LIMIT = TOLERANCE  # absolute; relative where answers are larger than 1
_ROUNDING = 1e-6  # by which weights are moved, relatively: eight units in the last place of float32
_DRAWS = 4
_MOST_UNSTABLE = 0.02  # of the samples


@dataclass(frozen=True, slots=True)
class Parity:
    """The largest difference of a file's answers from the trained network's.

    Attributes:
        n: samples that were compared.
        n_unstable: others, to which the network itself answers otherwise when its weights move by rounding alone: a
            token of theirs lies on the border between two experts. Which one takes it is for no arithmetic to say.
    """

    error: float
    n: int
    n_unstable: int = 0

    def __str__(self) -> str:
        text = f"differs from the trained network by {self.error:.2g} over {self.n} validation samples"
        if not self.n_unstable:
            return text
        return f"{text}; {self.n_unstable} more lie where rounding decides between two experts"


def parity(module: nn.Module, written: Written, inputs: Array) -> Parity:
    """Of a file just written.

    Raises:
        UserError: it differs by more than LIMIT, on samples to which the network itself has one answer.
    """
    inputs, expected, found = _both(module, written, inputs)
    limit = LIMIT * max(1.0, float(np.nanmax(np.abs(expected), initial=0.0)))
    error = largest_difference(expected, found)
    if error <= limit:
        return Parity(error, len(inputs))
    if expected.shape == found.shape:
        stable = ~_unstable(module, inputs, expected, limit=limit)
        n_unstable = int((~stable).sum())
        error = largest_difference(expected[stable], found[stable])
        if error <= limit and n_unstable <= _MOST_UNSTABLE * len(inputs):
            return Parity(error, len(inputs) - n_unstable, n_unstable)
    raise UserError(
        f"{written.path.name}: its answers differ from the trained network's by up to {error:.2g}; it was not kept. "
        f"{ALWAYS}"
    )


def difference(module: nn.Module, written: Written, inputs: Array) -> Parity:
    """Of a file in fewer bits, which no limit holds for.

    Raises:
        UserError: some of its answers are not finite where the network's are.
    """
    inputs, expected, found = _both(module, written, inputs)
    error = largest_difference(expected, found)
    if not isfinite(error):
        raise UserError(
            f"{written.path.name}: the network's numbers are too large for fewer bits: answers are not finite; it was "
            "not kept. --precision fp32 keeps them"
        )
    return Parity(error, len(inputs))


def _both(module: nn.Module, written: Written, inputs: Array) -> tuple[Array, Array, Array]:
    """(inputs in whole batches, the module's answers, the file's)."""
    n = written.batch or len(inputs)
    inputs = inputs[: len(inputs) // n * n]
    found = np.concatenate([written.read_back(inputs[start : start + n]) for start in range(0, len(inputs), n)])
    return inputs, _answers(module, inputs), found


def _unstable(module: nn.Module, inputs: Array, expected: Array, *, limit: float) -> NDArray[np.bool_]:
    """(n,) mask of the samples whose answers move by more than `limit` when weights move by rounding."""
    found = np.zeros(len(inputs), dtype=bool)
    for draw in range(_DRAWS):
        moved, generator = deepcopy(module), torch.Generator().manual_seed(draw)
        with torch.no_grad():
            for weight in moved.parameters():
                weight.mul_(1 + _ROUNDING * torch.randn(weight.shape, generator=generator))
        difference = np.abs(_answers(moved, inputs) - expected).reshape(len(inputs), -1)
        found |= difference.max(axis=1) > limit
    return found


def _answers(module: nn.Module, inputs: Array) -> Array:
    with torch.no_grad():
        return cast("Array", module(torch.from_numpy(inputs)).numpy())
