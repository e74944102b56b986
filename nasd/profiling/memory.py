"""Model memory: what a forward pass holds at its fullest, counted from tensors' storages, exact and repeatable.

It sees no allocator slack and no scratch space inside kernels, so that a process needs more (1.3 to 2 times); in
return it is the same number on every host, which an objective must be.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes: of parameters and buffers, of the inputs, and of what the pass allocates at its fullest."""

    state: int
    inputs: int
    new: int

    @property
    def total(self) -> int:
        return self.state + self.inputs + self.new


@torch.no_grad()
def peak_bytes(module: nn.Module, inputs: Tensor) -> Peak:
    """Run `module(inputs)` once and count storages; shared storages count once."""
    state = _storages(chain(module.parameters(), module.buffers()))
    given = _storages([inputs])
    with _StoragePeak(known={*state, *given}) as mode:
        module(inputs)
    return Peak(state=sum(state.values()), inputs=sum(given.values()), new=mode.peak)


def _storages(tensors: Any) -> dict[int, int]:
    """Bytes by storage."""
    return {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}


class _StoragePeak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the bytes of storages born under it while they live; `peak` is the largest sum."""

    def __init__(self, *, known: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known, self._live, self.peak = known, 0, 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True, torch's default, imports its compiler at the first call: 1.6 s for nothing

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._born, result)
        return result

    def _born(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        key, n_bytes = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            weakref.finalize(storage, self._died, key, n_bytes)
            self._live += n_bytes
            self.peak = max(self.peak, self._live)
        return tensor

    def _died(self, key: int, n_bytes: int) -> None:
        self._known.discard(key)  # the address may come back as another storage
        self._live -= n_bytes
