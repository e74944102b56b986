"""The MLP family's module: Linear, normalisation, activation, dropout for every layer, and a Linear head."""

import math
from collections.abc import Callable, Mapping
from typing import cast

from torch import nn

from nasd.domain.architecture import Architecture

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}
_NORMS: Mapping[str, Callable[[int], nn.Module] | None] = {
    "none": None,
    "batchnorm": nn.BatchNorm1d,
    "layernorm": nn.LayerNorm,
}


class Linear(nn.Linear):
    """A Linear whose weights are not drawn at once from torch's global generator; `build_module` draws them."""

    def reset_parameters(self) -> None:
        pass


def assemble(architecture: Architecture, input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    """(b, *input_shape) -> (b, n_outputs) logits; parts that do nothing (no norm, dropout 0) are left out."""
    norm = _NORMS[cast("str", architecture["norm"])]
    activation = _ACTIVATIONS[cast("str", architecture["activation"])]
    dropout = cast("float", architecture["dropout"])
    parts: list[nn.Module] = [nn.Flatten()] if len(input_shape) > 1 else []
    width = math.prod(input_shape)
    for wider in cast("tuple[int, ...]", architecture["widths"]):
        parts.append(Linear(width, wider))
        if norm is not None:
            parts.append(norm(wider))
        parts.append(activation())
        if dropout > 0:
            parts.append(nn.Dropout(dropout))
        width = wider
    return nn.Sequential(*parts, Linear(width, n_outputs))
