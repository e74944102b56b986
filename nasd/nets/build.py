"""Building a module for an architecture of any family, with weights that depend on the seed alone."""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.errors import CandidateFault
from nasd.nets import cnn, mlp, transformer

_FAMILIES: Mapping[str, Callable[[Architecture, Problem], nn.Module]] = {
    "cnn": cnn.assemble,
    "mlp": mlp.assemble,
    "transformer": transformer.assemble,
}


@runtime_checkable
class _DrawsItself(Protocol):
    """A part that knows its own initialisation."""

    def draw_weights(self, generator: torch.Generator) -> None: ...


def skeleton(architecture: Architecture, *, problem: Problem) -> nn.Module:
    """The module on the meta device: shapes without memory, for counting.

    Raises:
        CandidateFault: `unsupported`, a family this version has no module for.
    """
    with torch.device("meta"):
        return _assemble(architecture, problem)


def build_module(architecture: Architecture, *, problem: Problem, seed: int) -> nn.Module:
    """The module in training mode on the CPU: (b, *input_shape) -> (b, *output_shape) of `problem`.

    Weights come from a generator of its own, torch's global one stays as it is; the same architecture and seed give
    the same weights, bit for bit.

    Raises:
        CandidateFault: `unsupported`, a family this version has no module for.
    """
    module = _assemble(architecture, problem)
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        _initialise(part, generator)
    return module


def _assemble(architecture: Architecture, problem: Problem) -> nn.Module:
    assemble = _FAMILIES.get(architecture.space)
    if assemble is None:
        raise CandidateFault("unsupported", f"no module is known for architectures of the {architecture.space} space")
    return assemble(architecture, problem)


def _initialise(part: nn.Module, generator: torch.Generator) -> None:
    if isinstance(part, _DrawsItself):
        part.draw_weights(generator)
    elif isinstance(part, nn.Linear):
        # He et al. 2015, section 2.2: keeps the signal's size through eight layers without normalisation
        nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(part.bias)
    elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
        part.reset_parameters()
    elif next(part.parameters(recurse=False), None) is not None:
        raise NotImplementedError(f"{type(part).__name__} has weights and no rule to initialise them")
