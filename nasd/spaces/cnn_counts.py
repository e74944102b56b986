"""What a CNN costs, exactly and without building it: parameters, FLOPs and activation memory.

Follows `nasd.nets.cnn` layer by layer; a test holds both against torch's own counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from nasd.domain.data import Problem

_SE_REDUCTION = 4
_FLOAT_BYTES = 4


def map_shape(problem: Problem) -> tuple[int, ...]:
    """(channels, *positions) that the first block sees: a vector is one channel of its length."""
    shape = problem.input_shape
    return (1, *shape) if len(shape) == 1 else shape


def counts(genes: Mapping[str, Any], problem: Problem) -> dict[str, int]:
    """Exact counts of one network.

    params: weights and biases, scale and shift of every norm (running statistics are buffers).
    flops: one forward pass of one sample as `torch.utils.flop_counter.FlopCounterMode` counts it: 2 * inputs of one
        output * outputs for every convolution (padding included) and Linear; nothing for the rest.
    active_params: as params; every weight is used by every sample.
    activation_bytes: float32 outputs of all layers for one sample: convolutions (both of a separable one, the
        projection), norms, pools, activations, residual sums, squeeze-excitation's six steps, the global average and
        the logits.
    """
    channels, *sizes = map_shape(problem)
    has_norm = genes["norm"] != "none"
    params = macs = values = 0
    columns = (genes["op"], genes["channels"], genes["kernel"], genes["stride"], genes["residual"], genes["se"])
    for op, wider, kernel, stride, residual, se in zip(*columns, strict=True):
        if op == "skip":
            continue
        if stride == 2:
            sizes = [(size + 1) // 2 for size in sizes]
        positions = prod(sizes)
        if op in {"maxpool", "avgpool"}:
            values += channels * positions
            continue
        is_projected = residual and (stride == 2 or channels != wider)
        weights, depthwise = _kernels(op, channels, wider, kernel ** len(sizes))
        weights += channels * wider if is_projected else 0
        gate, gate_biases, gate_values = _squeeze_excitation(wider) if se else (0, 0, 0)
        n_maps = 2 + has_norm + se + residual + is_projected  # an operation and an activation there always are
        params += weights + (2 if has_norm else 1) * wider + gate + gate_biases
        macs += weights * positions + gate
        values += (n_maps * wider + depthwise) * positions + gate_values
        channels = wider
    head = channels * problem.n_outputs
    params += head + problem.n_outputs
    values += channels + problem.n_outputs
    return {
        "params": params,
        "flops": 2 * (macs + head),
        "active_params": params,
        "activation_bytes": _FLOAT_BYTES * values,
    }


def _kernels(op: str, inputs: int, outputs: int, window: int) -> tuple[int, int]:
    """Weights of the operation, and channels between its two parts (0 where it has one)."""
    if op == "conv":
        return inputs * outputs * window, 0
    return inputs * (window + outputs), inputs


def _squeeze_excitation(channels: int) -> tuple[int, int, int]:
    """Weights, biases, and outputs of all steps but the last, which is a map."""
    squeezed = channels // _SE_REDUCTION
    return 2 * channels * squeezed, squeezed + channels, 3 * channels + 2 * squeezed
