"""Layers that draw their own weights from a given generator: Linear and Embedding of a transformer.

Xavier (Glorot and Bengio 2010, equation 16, in its normal form) rather than a fixed deviation of 0.02: that figure is
Xavier's for d_model near 1,000 and far too small for 32. Layers that end a residual branch are scaled down by
1 / sqrt(2 * layers), as in GPT-2 (Radford et al. 2019, section 2.3), so that the sum of all branches keeps its size.
"""

import math

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """Xavier-normal times `gain`, bias 0."""

    def __init__(self, n_inputs: int, n_outputs: int, *, bias: bool = True, gain: float = 1.0) -> None:
        super().__init__(n_inputs, n_outputs, bias=bias)
        self.gain = gain

    def reset_parameters(self) -> None:
        """Nothing: weights are not drawn from torch's global generator."""

    def draw_weights(self, generator: torch.Generator) -> None:
        nn.init.xavier_normal_(self.weight, gain=self.gain, generator=generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Embedding(nn.Embedding):
    """A table of normal entries with deviation 1 / sqrt(width), so that a row has length 1."""

    def reset_parameters(self) -> None:
        """Nothing: weights are not drawn from torch's global generator."""

    def draw_weights(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.embedding_dim), generator=generator)


def xavier_(stack: Tensor, *, gain: float, generator: torch.Generator) -> None:
    """Fill (n, inputs, outputs), n weights in one tensor, as `Linear` would fill each of them."""
    std = gain * math.sqrt(2 / (stack.shape[1] + stack.shape[2]))
    nn.init.normal_(stack, std=std, generator=generator)
