"""Validation: one pass over the split that a search may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nasd.nets.runtime import is_out_of_memory
from nasd.training.criterion import Criterion
from nasd.training.metric import Metric
from nasd.training.seeding import undrawn
from nasd.training.tensors import Tensors

_LARGEST_BLOCK = 1024
_MICRO_BATCHES = 8  # in a block: without a backward pass only a few layers' outputs live at a time


class Validation(NamedTuple):
    """Means over the split's `n` samples with the deviations between them, and the values of the user's metric."""

    n: int
    error: float
    error_deviation: float
    loss: float
    loss_deviation: float
    metrics: Mapping[str, float] = {}

    @property
    def values(self) -> dict[str, float]:
        """By the names of measurements."""
        return {"val_error": self.error, "val_loss": self.loss, **self.metrics}


class Validator:
    """Validates one training's network as often as asked; that leaves no trace in the training.

    In float32 whatever the training's precision: so is the network that is measured and kept.
    """

    def __init__(self, module: nn.Module, tensors: Tensors, criterion: Criterion, metric: Metric | None) -> None:
        self._module, self._tensors, self._criterion, self._metric = module, tensors, criterion, metric

    def __call__(self, *, micro_batch: int) -> Validation:
        """`micro_batch` samples fit with a backward pass.

        Raises:
            CandidateFault: what `Metric` raises.
            RuntimeError, MemoryError: not even one sample fits.
        """
        size = min(_LARGEST_BLOCK, _MICRO_BATCHES * micro_batch)
        with torch.no_grad(), _evaluating(self._module), undrawn(self._tensors.device):
            while (blocks := self._blocks(size)) is None:
                size = max(size // 2, 1)
        losses, errors = torch.cat([block[0] for block in blocks]), torch.cat([block[1] for block in blocks])
        metrics = {} if self._metric is None else self._measured(self._metric, [block[2] for block in blocks])
        return Validation(
            n=len(losses),
            error=float(errors.mean()),
            error_deviation=float(errors.std(correction=0)),
            loss=float(losses.mean()),
            loss_deviation=float(losses.std(correction=0)),
            metrics=metrics,
        )

    def _blocks(self, size: int) -> list[tuple[Tensor, Tensor, Tensor]] | None:
        """Losses, errors and outputs; None where `size` samples at a time do not fit and fewer may."""
        try:
            pairs = zip(self._tensors.validation_x.blocks(size), self._tensors.validation_y.blocks(size), strict=True)
            return [self._judged(self._module(x).float(), y) for x, y in pairs]
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or size == 1:
                raise
        return None

    def _judged(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        kept = outputs[:0] if self._metric is None else outputs.cpu()
        return (*self._criterion.by_sample(outputs, targets), kept)

    def _measured(self, metric: Metric, outputs: list[Tensor]) -> dict[str, float]:
        targets = torch.cat([y.cpu() for y in self._tensors.validation_y.blocks(_LARGEST_BLOCK)])
        return metric(self._own_unit(torch.cat(outputs)), self._own_unit(targets))

    def _own_unit(self, values: Tensor) -> NDArray[Any]:
        mean, scale = self._tensors.target_mean, self._tensors.target_scale
        return values.numpy() if mean is None or scale is None else (values * scale + mean).numpy()


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """In evaluation mode within; parts that were in it before stay in it after."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
