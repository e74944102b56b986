"""The gradients of one batch: in one piece, or in as many as the device's memory asks for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nasd.nets.auxiliary import HasAuxiliaryLoss
from nasd.nets.runtime import is_out_of_memory
from nasd.training.criterion import Criterion
from nasd.training.optimiser import Optimiser
from nasd.training.seeding import global_state, restore_global_state
from nasd.training.tensors import Batch


class Gradients:
    """Leaves a batch's mean gradients in the parameters.

    A batch that does not fit is worked on again from the same random numbers in twice as many parts, and so are those
    after it. The step is the same but for rounding, except that dropout draws its masks part by part and BatchNorm
    sees each part's own mean and variance (its running ones saw the attempt that did not fit as well).

    Attributes:
        forward: what is called; the module itself, or what it was compiled to.
        n_parts: that a batch is worked on in.
    """

    def __init__(
        self,
        module: nn.Module,
        criterion: Criterion,
        optimiser: Optimiser,
        device: torch.device,
        *,
        bfloat16: bool,
    ) -> None:
        self.forward: Callable[[Tensor], Tensor] = module
        self.n_parts = 1
        self._criterion, self._optimiser, self._device = criterion, optimiser, device
        self._bfloat16 = bfloat16
        self._auxiliaries = [part for part in module.modules() if isinstance(part, HasAuxiliaryLoss)]
        has_batchnorm = any(isinstance(part, _BatchNorm) for part in module.modules())
        self._least_part = 2 if has_batchnorm else 1  # of one sample BatchNorm has no variance

    def of(self, batch: Batch) -> Tensor:
        """The task's mean loss, detached, without what modules add to it.

        Raises:
            RuntimeError, MemoryError: out of memory with parts as small as they can be.
        """
        before = global_state(self._device)
        while (loss := self._attempt(batch)) is None:
            restore_global_state(before, self._device)
        return loss

    def micro_batch(self, batch: int) -> int:
        """The largest part of a batch of `batch` samples."""
        return -(-batch // self.n_parts)

    def _attempt(self, batch: Batch) -> Tensor | None:
        """None where it did not fit and was split: by now the error, which holds the tensors, is gone."""
        try:
            if self.n_parts == 1:
                return self._backward(batch, 1.0)
            n = len(batch.x)
            return torch.stack([self._backward(part, len(part.x) / n) for part in batch.parts(self.n_parts)]).sum()
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or len(batch.x) // (self.n_parts * 2) < self._least_part:
                raise
        self._optimiser.drop_gradients()
        self.n_parts *= 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _backward(self, part: Batch, share: float) -> Tensor:
        with self._precision():
            loss = self._criterion.loss(self.forward(part.x).float(), part)
        if share != 1.0:
            loss = loss * share
        added = [module.auxiliary_loss() * share for module in self._auxiliaries]
        whole = torch.stack([loss, *added]).sum() if added else loss
        whole.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self._device.type, torch.bfloat16) if self._bfloat16 else nullcontext()
