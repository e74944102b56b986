"""Building a module for an architecture of any family, with weights that depend on the seed alone."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from nasd.domain.architecture import Architecture
from nasd.errors import CandidateFault
from nasd.nets import mlp

_FAMILIES: Mapping[str, Callable[[Architecture, tuple[int, ...], int], nn.Module]] = {
    "mlp": mlp.assemble,
}


def skeleton(architecture: Architecture, *, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    """The module on the meta device: shapes without memory, for counting.

    Raises:
        CandidateFault: `unsupported`, a family this version has no module for.
    """
    with torch.device("meta"):
        return _assemble(architecture, input_shape, n_outputs)


def build_module(architecture: Architecture, *, input_shape: tuple[int, ...], n_outputs: int, seed: int) -> nn.Module:
    """The module in training mode on the CPU: (b, *input_shape) -> (b, n_outputs) logits.

    Weights come from a generator of its own, torch's global one stays as it is; the same architecture and seed give
    the same weights, bit for bit.

    Raises:
        CandidateFault: `unsupported`, a family this version has no module for.
    """
    module = _assemble(architecture, input_shape, n_outputs)
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        _initialise(part, generator)
    return module


def _assemble(architecture: Architecture, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    assemble = _FAMILIES.get(architecture.space)
    if assemble is None:
        raise CandidateFault("unsupported", f"no module is known for architectures of the {architecture.space} space")
    return assemble(architecture, input_shape, n_outputs)


def _initialise(part: nn.Module, generator: torch.Generator) -> None:
    if isinstance(part, nn.Linear):
        # He et al. 2015, section 2.2: keeps the signal's size through eight layers without normalisation
        nn.init.kaiming_normal_(part.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(part.bias)
    elif isinstance(part, nn.BatchNorm1d | nn.LayerNorm):
        part.reset_parameters()
    elif next(part.parameters(recurse=False), None) is not None:
        raise NotImplementedError(f"{type(part).__name__} has weights and no rule to initialise them")
