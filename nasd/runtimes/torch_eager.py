"""torch-eager: the module as it is, one operation after the other."""

from __future__ import annotations

from contextlib import ExitStack

from torch import Tensor, nn

from nasd.runtimes.torch_runner import Forward, Notes


def prepare(module: nn.Module, _: Tensor, __: ExitStack) -> tuple[Forward, Notes]:
    """See `torch_runner.Prepare`."""
    return module, {}
