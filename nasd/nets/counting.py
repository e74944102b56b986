"""Parameters and FLOPs of a real module, for networks whose space can't count them ahead.

torch's own counter, with the holes filled that it has on a CPU: attention is counted as its two products, and paths
that hide their products from it (the fused encoder layer, oneDNN's LSTM) are switched off meanwhile.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from nasd.domain.data import Problem


def example_inputs(problem: Problem, n: int, *, seed: int = 0) -> Tensor:
    """(n, *input_shape) random numbers, or token numbers where the problem has a vocabulary; on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    shape = (n, *problem.input_shape)
    if problem.vocabulary:
        return torch.randint(problem.vocabulary, shape, generator=generator)
    return torch.randn(shape, generator=generator)


def count(module: nn.Module, problem: Problem) -> dict[str, int]:
    """`params` (each shared one once) and `flops` (one forward pass of one sample, multiply-add = 2).

    `module` is on the CPU; its mode is put back afterwards.
    """
    was_training = module.training
    with torch.no_grad(), _plain_kernels(), _Flops() as counter:
        module.eval()
        module(example_inputs(problem, 1))
    module.train(was_training)
    return {"params": sum(parameter.numel() for parameter in module.parameters()), "flops": counter.flops}


class _Flops(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What `torch.utils.flop_counter.FlopCounterMode` counts in all, without what that imports."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True, torch's default, imports its compiler at the first call: 1.6 s for nothing

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        with self:
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
        result = func(*args, **kwargs)
        operation = func._overloadpacket
        if operation is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
            # torch 2.13 has no formula for it (pytorch issue 195460); drop this when it has
            self.flops += sdpa_flop_count(*(each.shape for each in args[:3]))  # type: ignore[no-untyped-call]
        elif operation in flop_registry:
            self.flops += int(flop_registry[operation](*args, **kwargs, out_val=result))
        return result


@contextmanager
def _plain_kernels() -> Iterator[None]:
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # setting any flag of oneDNN warns of another vendor's TF32
            with torch.backends.mkldnn.flags(enabled=False):
                yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)
