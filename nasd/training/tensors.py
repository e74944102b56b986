"""The search's two splits as tensors on the device, once, and the batches that are cut from them by index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasd.data import SearchSplit
from nasd.domain.data import Problem, Task
from nasd.training.seeding import order_generator

Array = NDArray[Any]
_BLOCK = 1 << 22  # numbers that are brought to float64 at a time


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs (b, *input_shape) and targets; under mixup the inputs are `share` their own, the rest `partner_y`'s."""

    x: Tensor
    y: Tensor
    partner_y: Tensor | None = None
    share: Tensor | float = 1.0

    def parts(self, n: int) -> Iterator[Batch]:
        """`n` pieces whose sizes differ by one at most."""
        if n == 1:
            yield self
            return
        partners = [None] * n if self.partner_y is None else self.partner_y.tensor_split(n)
        for x, y, partner_y in zip(self.x.tensor_split(n), self.y.tensor_split(n), partners, strict=True):
            yield Batch(x, y, partner_y, self.share)


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples (n, ...) as they are stored: tokens in their own type, images with channels innermost where that is
    faster. What comes out is as a network takes it.
    """

    stored: Tensor
    is_tokens: bool = False
    has_channels_inside: bool = False

    def __len__(self) -> int:
        return len(self.stored)

    def at(self, index: Tensor) -> Tensor:
        """The samples of these numbers."""
        return self._ready(self.stored.index_select(0, index))

    def blocks(self, size: int) -> Iterator[Tensor]:
        """All samples in order, `size` at a time."""
        return map(self._ready, torch.split(self.stored, size))

    def _ready(self, x: Tensor) -> Tensor:
        if self.is_tokens:
            return x.long()
        return x.permute(0, 3, 1, 2) if self.has_channels_inside else x  # (b, c, h, w)


@dataclass(frozen=True, slots=True)
class Tensors:
    """Both splits, and what brings regressed numbers back to their own unit.

    Inputs are brought to mean 0 and deviation 1 of the training inputs, regressed targets to those of the training
    targets, each output by itself. Tokens stay numbers; windows of a text stay views of it.
    """

    train_x: Rows
    train_y: Rows
    validation_x: Rows
    validation_y: Rows
    batch: int
    target_mean: Tensor | None = None  # (n_outputs,)
    target_scale: Tensor | None = None

    @classmethod
    def on(
        cls, device: torch.device, split: SearchSplit, problem: Problem, *, batch: int, channels_last: bool
    ) -> Tensors:
        """`batch` is that of the recipe; a smaller training split is a batch whole."""
        if problem.vocabulary:
            train_x, validation_x = (_tokens(x, device) for x in (split.train_x, split.validation_x))
        else:
            at = moments(split.train_x)
            train_x, validation_x = (
                _numbers(x, *at, device, channels_inside=channels_last) for x in (split.train_x, split.validation_x)
            )
        target_mean = target_scale = None
        if problem.task is Task.LM:
            train_y, validation_y = (_tokens(y, device) for y in (split.train_y, split.validation_y))
        elif problem.task is Task.REGRESSION:
            mean, scale = moments(split.train_y, axis=0)
            train_y, validation_y = (_numbers(y, mean, scale, device) for y in (split.train_y, split.validation_y))
            target_mean, target_scale = (torch.as_tensor(each, dtype=torch.float32) for each in (mean, scale))
        else:
            train_y, validation_y = (
                Rows(torch.from_numpy(y.copy()).to(device)) for y in (split.train_y, split.validation_y)
            )
        return cls(
            train_x=train_x,
            train_y=train_y,
            validation_x=validation_x,
            validation_y=validation_y,
            batch=min(batch, len(split.train_y)),
            target_mean=target_mean,
            target_scale=target_scale,
        )

    @property
    def device(self) -> torch.device:
        return self.train_x.stored.device

    @property
    def batches_per_epoch(self) -> int:
        return len(self.train_y) // self.batch

    def batches(self, seed: int, *, start: int) -> Iterator[Batch]:
        """The batches of steps `start` and up, without end: a fresh permutation every epoch, its last, smaller batch
        dropped so that all steps cost the same. They depend on `seed`, the number of samples and the batch alone.
        """
        generator = order_generator(seed)
        n, used = len(self.train_y), self.batches_per_epoch * self.batch
        epochs, done = divmod(start, self.batches_per_epoch)
        for _ in range(epochs):
            torch.randperm(n, generator=generator)
        while True:
            order = torch.randperm(n, generator=generator)[done * self.batch : used].to(self.device)
            done = 0
            for index in torch.split(order, self.batch):
                yield Batch(self.train_x.at(index), self.train_y.at(index))


def moments(x: Array, *, axis: int | None = None) -> tuple[Any, Any]:
    """Mean and deviation in float64, of all numbers or along `axis` 0; a deviation of next to nothing counts as 1e-6.

    In blocks of rows: float64 copies of a large data set would take more memory than the data.
    """
    n = x.size if axis is None else len(x)
    mean = sum(block.sum(axis=axis, dtype=np.float64) for block in _blocks(x)) / n
    squares = sum(np.square(block - mean).sum(axis=axis) for block in _blocks(x))
    return mean, np.maximum(np.sqrt(squares / n), 1e-6)


def _numbers(x: Array, mean: Any, scale: Any, device: torch.device, *, channels_inside: bool = False) -> Rows:
    standard = np.empty(x.shape, np.float32)
    begin = 0
    for block in _blocks(x):
        standard[begin : begin + len(block)] = (block - mean) / scale
        begin += len(block)
    tensor = torch.from_numpy(standard).to(device)
    if channels_inside:
        tensor = tensor.permute(0, 2, 3, 1).contiguous()  # (n, h, w, c)
    return Rows(tensor, has_channels_inside=channels_inside)


def _blocks(x: Array) -> Iterator[Array]:
    rows = max(1, _BLOCK // max(1, x[:1].size))
    return (x[begin : begin + rows] for begin in range(0, len(x), rows))


def _tokens(windows: Array, device: torch.device) -> Rows:
    """(n, context) windows of a text as a view of the text they overlap on, which alone is copied to the device."""
    n, context = windows.shape
    over, along = (stride // windows.itemsize for stride in windows.strides)
    if n == 0 or along != 1 or not 0 < over <= context:  # not cut from one text
        return Rows(torch.from_numpy(np.ascontiguousarray(windows).copy()).to(device), is_tokens=True)
    text = np.lib.stride_tricks.as_strided(windows, ((n - 1) * over + context,), (windows.itemsize,), writeable=False)
    return Rows(torch.from_numpy(text.copy()).to(device).as_strided((n, context), (over, 1)), is_tokens=True)
