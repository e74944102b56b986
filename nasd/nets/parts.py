"""Layers that several families share. Their weights are not drawn at construction: `nasd.nets.build` draws them."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}
VECTOR_NORMS: Mapping[str, Callable[[int], nn.Module] | None] = {
    "none": None,
    "batchnorm": nn.BatchNorm1d,
    "layernorm": nn.LayerNorm,
}
RELU_GAIN = math.sqrt(2)  # for an output that goes through a ReLU, and near enough for its relatives
_SE_REDUCTION = 4


class Linear(nn.Linear):
    """A Linear whose weights are not drawn at once from torch's global generator."""

    def reset_parameters(self) -> None:
        pass


class Conv1d(nn.Conv1d):
    """A convolution whose weights are not drawn at once.

    Attributes:
        gain: how much larger than its input's its output's size is at the beginning.
    """

    gain: float = RELU_GAIN

    def reset_parameters(self) -> None:
        pass

    def draw_weights(self, generator: torch.Generator) -> None:
        """He et al. 2015, section 2.2, by the number of inputs of one output; a bias begins at 0."""
        _draw(self, self.gain, generator)


class Conv2d(nn.Conv2d):
    """As `Conv1d`, over height and width."""

    gain: float = RELU_GAIN

    def reset_parameters(self) -> None:
        pass

    def draw_weights(self, generator: torch.Generator) -> None:
        """As `Conv1d`."""
        _draw(self, self.gain, generator)


def _draw(layer: nn.Conv1d | nn.Conv2d, gain: float, generator: torch.Generator) -> None:
    n_inputs = layer.weight[0].numel()  # of one output
    nn.init.normal_(layer.weight, std=gain / math.sqrt(n_inputs), generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def convolution(
    dims: int,
    inputs: int,
    outputs: int,
    *,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    bias: bool = True,
    gain: float = RELU_GAIN,
) -> Conv1d | Conv2d:
    """(b, inputs, *n) -> (b, outputs, *ceil(n / stride)) over `dims` dimensions, padded with zeros; `kernel` is odd."""
    make = Conv1d if dims == 1 else Conv2d
    layer = make(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=bias)
    layer.gain = gain
    return layer


def map_norm(name: str, dims: int, channels: int) -> nn.Module | None:
    """A normalisation of (b, channels, *n); None for "none".

    "layernorm" is GroupNorm with one group: each sample's mean and variance over channels and positions, scale and
    shift by channel. It works on the layout that convolutions use, where nn.LayerNorm would transpose twice.
    """
    if name == "none":
        return None
    if name == "layernorm":
        return nn.GroupNorm(1, channels)
    return nn.BatchNorm1d(channels) if dims == 1 else nn.BatchNorm2d(channels)


class GlobalAverage(nn.Module):
    """(b, c, *n) -> (b, c)."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.over = tuple(range(2, 2 + dims))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.over)


class SqueezeExcitation(nn.Module):
    """Weighs channels by a gate that depends on all of them: (b, c, *n) -> the same shape.

    The gate is average over positions, Linear to `squeezed_width(c)`, ReLU, Linear back, sigmoid.

    Source: Hu et al. 2018, section 3; the reduction by 4 is MobileNetV3's (Howard et al. 2019, section 5.3).
    """

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        self.average = GlobalAverage(dims)
        self.squeeze = Linear(channels, channels // _SE_REDUCTION)
        self.excite = Linear(channels // _SE_REDUCTION, channels)

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.excite(self.squeeze(self.average(x)).relu()).sigmoid()
        return x * gate.view(*gate.shape, *[1] * (x.dim() - 2))  # (b, c, *1)


class Residual(nn.Module):
    """activation(body(x) + shortcut(x)); without a shortcut the input itself is added.

    Source: He et al. 2016, section 3.2; the sum comes before the activation as there.
    """

    def __init__(self, body: nn.Module, activation: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.body, self.activation, self.shortcut = body, activation, shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        y = y + (x if self.shortcut is None else self.shortcut(x))
        activated: Tensor = self.activation(y)
        return activated
