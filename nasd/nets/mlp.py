"""The MLP family's module: Linear, normalisation, activation, dropout for every layer, and a Linear head."""

import math
from typing import cast

from torch import nn

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.nets.parts import ACTIVATIONS, VECTOR_NORMS, Linear


def assemble(architecture: Architecture, problem: Problem) -> nn.Module:
    """(b, *input_shape) -> (b, n_outputs) logits; parts that do nothing (no norm, dropout 0) are left out."""
    norm = VECTOR_NORMS[cast("str", architecture["norm"])]
    activation = ACTIVATIONS[cast("str", architecture["activation"])]
    dropout = cast("float", architecture["dropout"])
    parts: list[nn.Module] = [nn.Flatten()] if len(problem.input_shape) > 1 else []
    width = math.prod(problem.input_shape)
    for wider in cast("tuple[int, ...]", architecture["widths"]):
        parts.append(Linear(width, wider))
        if norm is not None:
            parts.append(norm(wider))
        parts.append(activation())
        if dropout > 0:
            parts.append(nn.Dropout(dropout))
        width = wider
    return nn.Sequential(*parts, Linear(width, problem.n_outputs))
