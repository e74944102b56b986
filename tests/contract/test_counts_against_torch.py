"""The analytic counts of every space are torch's own, exactly: params before anything is built, FLOPs likewise."""

from itertools import starmap

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nasd import spaces
from nasd.domain.architecture import Architecture
from nasd.domain.study import SpaceSpec
from nasd.nets import skeleton

SHAPE, N_OUTPUTS = (8, 8), 10
N_ARCHITECTURES = 200  # a thousand agreed too, in 35 s


def torch_counts(architecture: Architecture, counter: FlopCounterMode) -> dict[str, int]:
    module = skeleton(architecture, input_shape=SHAPE, n_outputs=N_OUTPUTS).eval()
    with counter, torch.no_grad():
        module(torch.empty((1, *SHAPE), device="meta"))
    return {"params": sum(p.numel() for p in module.parameters()), "flops": counter.get_total_flops()}


@pytest.mark.parametrize("kind", ["mlp"])
def test_counts_equal_torchs_for_random_architectures(kind: str) -> None:
    """Both are objectives and limits; a wrong one would refuse or admit the wrong networks, silently."""
    space, rng = spaces.build(SpaceSpec(kind=kind), input_shape=SHAPE, n_outputs=N_OUTPUTS), np.random.default_rng(0)
    counter = FlopCounterMode(display=False)  # entered anew for each; making one costs as much as counting
    architectures = [space.sample(rng) for _ in range(N_ARCHITECTURES)]
    differing = [a for a in architectures if space.counts(a) != torch_counts(a, counter)]
    assert differing == []


def test_a_bias_counts_as_parameters_and_not_as_flops() -> None:
    """The convention, by hand: 64 -> 128 -> 128 -> 10 with BatchNorm."""
    genes = {"layers": 2, "widths": (128, 128), "activation": "relu", "norm": "batchnorm", "dropout": 0.0}
    space = spaces.build(SpaceSpec(kind="mlp"), input_shape=SHAPE, n_outputs=N_OUTPUTS)
    weights = sum(starmap(int.__mul__, [(64, 128), (128, 128), (128, 10)]))
    counts = space.counts(space.canonical(genes))
    assert {"params": weights + (128 + 128 + 10) + 2 * (128 + 128), "flops": 2 * weights} == counts
