"""What memory an evaluation will need, from counts alone: before anything is built, without torch. Pure.

A process needs its libraries, the data, and what the network asks for. Of the last, parameters and activations are
counted exactly; kernels' scratch space, transposed copies of weights and the allocator's slack are not, and stand here
as factors measured over 100 networks of each space (`scripts/bench/memory_prediction.py`; those of the export over ten
in all), on the upper side: what is predicted to fit shall fit, and what is predicted not to might have.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from nasd.domain.data import DataFacts, Problem
from nasd.domain.study import Optimiser, TrainSpec

_MIB = 1 << 20
_NUMBER_BYTES = 4  # float32
BASE_BYTES: Mapping[str, int] = {  # a process that has loaded its libraries and run something small
    "train": 300 * _MIB,  # torch and the data's readers
    "measure": 280 * _MIB,  # torch
    "export": 460 * _MIB,  # torch, its exporter, onnxruntime with what checks and converts a file, the data's readers
    "onnxruntime": 96 * _MIB,
}
_STATES = {Optimiser.ADAMW: 2, Optimiser.SGD: 1}  # numbers kept for each parameter
_COPIES = 2  # of the weights in another layout: for the forward pass and for the backward one
_ACTIVATIONS = 2.5  # times those counted: their gradients, masks, a pool's places (8 bytes), what kernels unfold
_PASSING = 1.0  # of those counted, in a forward pass that keeps nothing
_VALIDATED_AT_ONCE = 1024
_VALIDATED = 0.5  # of the activations counted: a few layers' at a time, beside what training left to the allocator
_LOSS = 3  # outputs, their logarithms and their gradients
_EXPORTED = 12  # times the weights: torch's program, ONNX's, files as they are written, read again, run and converted
_CALIBRATED, _KEPT = 128, 1.5  # samples that a conversion to int8 looks at, and times their activations
_SLACK_BYTES = 16 * _MIB


def training_bytes(counts: Mapping[str, float], facts: DataFacts, recipe: TrainSpec) -> int | None:
    """What a training adds to its process at most; None where the space can't count ahead.

    Args:
        counts: `params` and `activation_bytes` (of one sample) as the space counts them.
    """
    if not {"params", "activation_bytes"} <= counts.keys():
        return None
    batch = min(recipe.batch, facts.n_train)
    weights = _NUMBER_BYTES * counts["params"] * (2 + _STATES[recipe.optimiser] + _COPIES)
    losses = _LOSS * _NUMBER_BYTES * prod(facts.problem.output_shape) * batch
    training = _ACTIVATIONS * counts["activation_bytes"] * batch + losses
    validated = min(_VALIDATED_AT_ONCE, 8 * batch, facts.n_validation)
    validation = _VALIDATED * counts["activation_bytes"] * validated
    return int(weights + training + validation + _data_bytes(facts) + _SLACK_BYTES)


def inference_bytes(counts: Mapping[str, float], problem: Problem, *, batch: int) -> int | None:
    """What forward passes of `batch` samples add to their process at most; None where the space can't count ahead."""
    if not {"params", "activation_bytes"} <= counts.keys():
        return None
    weights = _NUMBER_BYTES * counts["params"] * (1 + _COPIES)
    inputs = _NUMBER_BYTES * prod(problem.input_shape) * batch
    return int(weights + _PASSING * counts["activation_bytes"] * batch + inputs + _SLACK_BYTES)


def export_bytes(counts: Mapping[str, float], problem: Problem, *, batch: int) -> int | None:
    """What making a network's files adds to its process at most; None where the space can't count ahead.

    Args:
        counts: as for training.
        batch: the largest that a file is made for; in all its precisions, whether or not they are asked for.
    """
    if not {"params", "activation_bytes"} <= counts.keys():
        return None
    n = max(batch, _CALIBRATED)
    weights = _NUMBER_BYTES * counts["params"] * _EXPORTED
    inputs = _NUMBER_BYTES * prod(problem.input_shape) * n
    return int(weights + _KEPT * counts["activation_bytes"] * n + inputs + _SLACK_BYTES)


def mib(base: str, network_bytes: int | None) -> int | None:
    """Of the whole process, rounded up. `base` names what it has loaded, a key of `BASE_BYTES`."""
    return None if network_bytes is None else -(-(BASE_BYTES[base] + network_bytes) // _MIB)


def _data_bytes(facts: DataFacts) -> int:
    """Both splits as they are kept, and once more as they were read. Windows of a text are views of it."""
    n = facts.n_train + facts.n_validation
    numbers = n if facts.vocabulary else n * prod(facts.input_shape)
    return 2 * (8 if facts.vocabulary else _NUMBER_BYTES) * numbers
