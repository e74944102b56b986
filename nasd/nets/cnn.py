"""The CNN family's module, in one or two dimensions: blocks one after another, global average, a Linear head.

Genes: {"blocks": 3, "op": ["conv", "maxpool", "skip"], "channels": [64, null, null], "kernel": [3, 3, null],
"stride": [1, 2, null], "residual": [true, null, null], "se": [false, null, null], "activation": "relu",
"norm": "batchnorm"}. A block is

* conv: convolution, norm, squeeze-excitation if `se`, activation;
* separable: the same with a depthwise and a pointwise convolution, nothing in between (Chollet 2017, section 4.7);
* maxpool, avgpool: the pool alone (padding never wins a maximum and is no part of an average);
* skip: nothing.

With `residual` the block's input is added before the activation, through a 1x1 convolution of the block's stride where
the shapes differ. Convolutions pad so that stride 1 keeps the positions and stride 2 leaves ceil(n / 2); they have a
bias only where no norm follows, the projection and the depthwise part never (another bias follows or stands beside).

Weights are drawn as by He et al. 2015, section 2.2; without a norm those of residual branches are smaller by the square
root of their number, so that eight sums don't let the signal explode (Hayou et al. 2021, "Stable ResNet").
Norms begin with scale 1 in residual branches as well: 0 (He et al. 2019, "Bag of tricks", section 3.1) cost 0.4 to 7
points on digits within 200 steps, in three networks of eight blocks, four seeds each.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import starmap
from typing import Any, cast

from torch import nn

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.nets.parts import (
    ACTIVATIONS,
    RELU_GAIN,
    GlobalAverage,
    Linear,
    Residual,
    SqueezeExcitation,
    convolution,
    map_norm,
)

_PER_BLOCK = ("op", "channels", "kernel", "stride", "residual", "se")
_POOLS: Mapping[tuple[str, int], Callable[[int, int], nn.Module]] = {
    ("maxpool", 1): lambda kernel, stride: nn.MaxPool1d(kernel, stride, kernel // 2),
    ("maxpool", 2): lambda kernel, stride: nn.MaxPool2d(kernel, stride, kernel // 2),
    ("avgpool", 1): lambda kernel, stride: nn.AvgPool1d(kernel, stride, kernel // 2, count_include_pad=False),
    ("avgpool", 2): lambda kernel, stride: nn.AvgPool2d(kernel, stride, kernel // 2, count_include_pad=False),
}


@dataclass(frozen=True, slots=True)
class _Block:
    """One block's genes; those that its operation has no use for are None."""

    op: str
    channels: int
    kernel: int
    stride: int
    residual: bool
    se: bool


@dataclass(frozen=True, slots=True)
class _Style:
    """What all blocks share."""

    dims: int
    norm: str
    activation: str
    n_residual: int


def assemble(architecture: Architecture, problem: Problem) -> nn.Module:
    """(b, *input_shape) -> (b, n_outputs) logits; (b, features) is taken as one channel of that length.

    One flat sequence of layers, apart from residual blocks: each container costs a call, which batch 1 feels.
    """
    shape = problem.input_shape
    parts: list[nn.Module] = [nn.Unflatten(1, (1, shape[0]))] if len(shape) == 1 else []
    channels, dims = (1, 1) if len(shape) == 1 else (shape[0], len(shape) - 1)
    blocks = _blocks(architecture)
    norm, activation = cast("str", architecture["norm"]), cast("str", architecture["activation"])
    style = _Style(dims, norm, activation, sum(bool(block.residual) for block in blocks))
    for block in blocks:
        if block.op in {"conv", "separable"}:
            parts += _convolutional(block, channels, style)
            channels = block.channels
        elif block.op != "skip":
            parts.append(_POOLS[block.op, dims](block.kernel, block.stride))
    return nn.Sequential(*parts, GlobalAverage(dims), Linear(channels, problem.n_outputs))


def _blocks(architecture: Architecture) -> tuple[_Block, ...]:
    columns = [cast("tuple[Any, ...]", architecture[name]) for name in _PER_BLOCK]
    return tuple(starmap(_Block, zip(*columns, strict=True)))


def _convolutional(block: _Block, channels: int, style: _Style) -> list[nn.Module]:
    """The layers of a conv or separable block on `channels` channels."""
    body = _operation(block, channels, style)
    norm = map_norm(style.norm, style.dims, block.channels)
    if norm is not None:
        body.append(norm)
    if block.se:
        body.append(SqueezeExcitation(style.dims, block.channels))
    activation = ACTIVATIONS[style.activation]()
    if not block.residual:
        return [*body, activation]
    shortcut = _projection(block, channels, style)
    return [Residual(body[0] if len(body) == 1 else nn.Sequential(*body), activation, shortcut)]


def _operation(block: _Block, channels: int, style: _Style) -> list[nn.Module]:
    dims, kernel, stride, bias = style.dims, block.kernel, block.stride, style.norm == "none"
    gain = RELU_GAIN / math.sqrt(style.n_residual) if bias and block.residual else RELU_GAIN
    if block.op == "conv":
        return [convolution(dims, channels, block.channels, kernel=kernel, stride=stride, bias=bias, gain=gain)]
    depthwise = convolution(
        dims, channels, channels, kernel=kernel, stride=stride, groups=channels, bias=False, gain=1.0
    )
    return [depthwise, convolution(dims, channels, block.channels, kernel=1, bias=bias, gain=gain)]


def _projection(block: _Block, channels: int, style: _Style) -> nn.Module | None:
    if block.stride == 1 and channels == block.channels:
        return None
    return convolution(style.dims, channels, block.channels, kernel=1, stride=block.stride, bias=False)
