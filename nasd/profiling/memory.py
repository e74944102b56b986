"""Model memory: what a forward pass holds at its fullest, exact and repeatable.

On a processor it is counted from tensors' storages. That sees no allocator slack and no scratch space inside kernels,
so that a process needs more (1.3 to 2 times: `nasd.profiling.process_memory`); in return it is the same number on every
host, which an objective must be. On a GPU torch's own allocator has the peak, kernels' scratch space included.
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

from nasd.domain.measurement import UNITS, JsonObject, Measurement


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes: of parameters and buffers, of the inputs, and of what the pass allocates at its fullest."""

    state: int
    inputs: int
    new: int

    @property
    def total(self) -> int:
        return self.state + self.inputs + self.new


def measured(module: nn.Module, inputs: Tensor, *, conditions: JsonObject) -> Measurement:
    """`peak_memory_bytes` of `module(inputs)`, with its parts beside `conditions`."""
    peak = peak_bytes(module, inputs)
    return Measurement(
        name="peak_memory_bytes",
        value=float(peak.total),
        unit=UNITS["peak_memory_bytes"],
        conditions={
            **conditions,
            "state_bytes": peak.state,
            "input_bytes": peak.inputs,
            "forward_bytes": peak.new,
            "counted": "storages" if inputs.device.type == "cpu" else "allocator",
        },
    )


@torch.no_grad()
def peak_bytes(module: nn.Module, inputs: Tensor) -> Peak:
    """Run `module(inputs)` once and take its peak; shared storages count once."""
    state = _storages(chain(module.parameters(), module.buffers()))
    given = _storages([inputs])
    if inputs.device.type == "cuda":
        new = _allocated(module, inputs)
    else:
        with _StoragePeak(known={*state, *given}) as mode:
            module(inputs)
        new = mode.peak
    return Peak(state=sum(state.values()), inputs=sum(given.values()), new=new)


def _allocated(module: nn.Module, inputs: Tensor) -> int:
    """Bytes that torch's CUDA allocator handed out beyond what it had."""
    module(inputs)  # libraries take their lasting workspaces at the first call
    torch.cuda.synchronize(inputs.device)
    torch.cuda.reset_peak_memory_stats(inputs.device)
    before = torch.cuda.memory_allocated(inputs.device)
    module(inputs)
    torch.cuda.synchronize(inputs.device)
    return torch.cuda.max_memory_allocated(inputs.device) - before


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
