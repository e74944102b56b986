"""Two synthetic laws over nasd's own conditional CNN space: error (and latency) as arithmetic of the genes.

SYNTHETIC: nobody trained these networks. The space, its conditions and the counts are the real ones; the error is made
up to have what real spaces have (genes that exist only beside others, effects that depend on one another, a conflict
with cost, noise of the training seed). The two share no term, so that what was tuned on one is tested by the other.

    lawA  error, params, FLOPs. A chain: every block adds what its kernel sees at the current resolution, with
          diminishing returns, up to the receptive field the input needs.
    lawB  error, latency, params. A balance: depth against width, channels against resolution, and a table of
          interactions between norm, activation and gates; latency is a roofline with a price for every launch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp, log2, prod
from statistics import fmean
from typing import Any

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem as Asked
from nasd.domain.seeding import seed_of

ASKED = Asked(input_shape=(3, 32, 32), n_outputs=10)
BOUND = 0.5  # what errs more is of no use
NOISE = 0.004  # standard deviation of the error over training seeds
_SIDE = 32
_CONVOLUTIONS = ("conv", "separable")

Genes = Mapping[str, Any]
Block = tuple[Any, ...]  # op, channels, kernel, stride, residual, se


def blocks(genes: Genes) -> list[Block]:
    """The blocks that do something, in order."""
    columns = (genes[name] for name in ("op", "channels", "kernel", "stride", "residual", "se"))
    return [block for block in zip(*columns, strict=True) if block[0] != "skip"]


def noise(architecture: Architecture, seed: int) -> float:
    """Of one training, keyed by the network and the seed: every strategy is told the same."""
    keyed = np.random.Generator(np.random.PCG64(seed_of("law", architecture.key, seed)))
    return NOISE * float(keyed.standard_normal())


# --- law A ---


def error_a(genes: Genes, counts: Mapping[str, int]) -> float:
    """What the chain of blocks sees, with diminishing returns."""
    chain = blocks(genes)
    gained = sum(0.88**place * gain for place, gain in enumerate(_gains(chain)))
    covered = 1 - exp(-2.2 * _receptive_field(chain) / _SIDE)
    depth = len(chain)
    stable = {"batchnorm": 0.0, "layernorm": 0.04 + 0.01 * depth, "none": 0.05 * max(0, depth - 2)}[genes["norm"]]
    lively = {"relu": 0.0, "gelu": 0.05, "silu": 0.07 if genes["norm"] == "batchnorm" else -0.03}[genes["activation"]]
    overfits = 0.03 * max(0.0, log2(counts["params"] / 1e6))
    return 0.05 + 0.85 * exp(-1.5 * covered * max(0.0, gained + lively - stable)) + overfits


def _gains(chain: Sequence[Block]) -> list[float]:
    """What every block adds."""
    found, side = [], _SIDE
    for at, (op, channels, kernel, stride, residual, se) in enumerate(chain):
        side = -(-side // stride)
        fit = exp(-(((kernel / max(side, 2)) - 0.32) ** 2) / 0.09)  # a third of the map is the best window
        if op in _CONVOLUTIONS:
            wide = 1 - exp(-channels / 90)
            sees = (0.40 if op == "conv" else 0.34) * wide * (0.6 + 0.4 * fit)
            helps = (0.05 if at >= 2 else -0.02) * residual + 0.045 * se * wide
            found.append(sees + helps)
        else:
            found.append(0.06 if stride == 2 and op == "maxpool" else 0.03 * (stride == 2) - 0.02)
    return found


def _receptive_field(chain: Sequence[Block]) -> int:
    field = jump = 1
    for _, _, kernel, stride, _, _ in chain:
        field += (kernel - 1) * jump
        jump *= stride
    return field


# --- law B ---

_TOGETHER = {  # norm, activation -> how well they go together
    ("batchnorm", "relu"): 0.55,
    ("batchnorm", "gelu"): 0.30,
    ("batchnorm", "silu"): 0.40,
    ("layernorm", "relu"): 0.10,
    ("layernorm", "gelu"): 0.60,
    ("layernorm", "silu"): 0.35,
    ("none", "relu"): 0.15,
    ("none", "gelu"): 0.00,
    ("none", "silu"): 0.20,
}


def error_b(genes: Genes) -> float:
    """A logistic of balance and interactions; nothing here grows with the number of parameters as such."""
    chain = blocks(genes)
    convolutions = [block for block in chain if block[0] in _CONVOLUTIONS]
    depth = len(convolutions)
    width = fmean(log2(block[1]) for block in convolutions)
    balanced = 0.9 * log2(1 + depth) + 0.35 * (width - 5) - 0.28 * (width - 4.6 - 0.33 * depth) ** 2
    merit = balanced + _TOGETHER[genes["norm"], genes["activation"]] - 0.30 * _mismatch(chain) + _teamwork(chain, genes)
    return 0.06 + 0.84 / (1 + exp(1.25 * (merit - 1.4)))


def _mismatch(chain: Sequence[Block]) -> float:
    """Channels should double where the map is halved and stay elsewhere."""
    found, before, halved = 0.0, None, 0
    for op, channels, _, stride, _, _ in chain:
        halved += stride == 2
        if op in _CONVOLUTIONS:
            if before is not None:
                found += min(2.0, abs(log2(channels / before) - halved)) / 2
            before, halved = channels, 0
    positions = prod(block[3] for block in chain)
    return found / len(chain) + 0.5 * abs(log2(positions) - 3) / 3


def _teamwork(chain: Sequence[Block], genes: Genes) -> float:
    """What neighbours do for one another: kinds that alternate, residuals in a row, gates beside silu."""
    pairs = list(pairwise(chain)) or [(chain[0], chain[0])]
    alternates = fmean(first[0] != second[0] for first, second in pairs)
    varied = fmean(first[2] != second[2] for first, second in pairs)
    in_a_row = fmean(bool(first[4]) and bool(second[4]) for first, second in pairs)
    gated = fmean(bool(block[5]) for block in chain)
    best_gated = 0.5 if genes["activation"] == "silu" else 0.15
    last_pools = chain[-1][0] == "avgpool"
    return 0.35 * alternates + 0.2 * varied + 0.45 * in_a_row - 0.6 * (gated - best_gated) ** 2 + 0.12 * last_pools


def latency_ms_b(genes: Genes, counts: Mapping[str, int]) -> float:
    """A roofline: arithmetic at a speed that depends on the operation, traffic, and a price for every launch."""
    chain, side, before, total = blocks(genes), _SIDE, 3, 0.0
    for op, channels, kernel, stride, residual, se in chain:
        side = -(-side // stride)
        wide = channels or before
        if op == "conv":
            work = before * wide * kernel**2 * side**2 / (9e6 if kernel == 3 else 6e6)
        elif op == "separable":
            work = before * side**2 * (kernel**2 / 0.8e6 + wide / 7e6)
        else:
            work = before * side**2 * kernel**2 / 2.5e6
        traffic = (before * (side * stride) ** 2 + wide * side**2 * (1 + bool(residual))) / 1.5e6
        total += max(work, traffic) + 0.012 * (1 + (genes["norm"] != "none") + bool(residual) + 3 * bool(se))
        before = wide
    return 0.05 + total + counts["params"] / 4e7
