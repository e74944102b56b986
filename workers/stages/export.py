"""Exporting: the files that device kinds without torch run, with untrained weights."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from nasd.domain.data import DataFacts, Problem
from nasd.domain.devices import DeviceSpec, Runtime
from nasd.domain.measurement import Measurement
from nasd.domain.study import StudySpec
from nasd.errors import WorldFault
from nasd.nets import build_module
from nasd.nets.counting import example_inputs
from nasd.nets.runtime import candidate_memory
from nasd.runtimes.onnx import Array
from nasd.runtimes.onnx_convert import to_fp16, to_int8
from nasd.runtimes.onnx_export import export_onnx
from nasd.training.tensors import moments
from workers.assignment import Assignment
from workers.hooks import Hooks
from workers.stages.candidate import candidate, facts_of
from workers.stages.split import split_of

_N_SAMPLES = 128  # of the training split, for calibration
_CONVERT: Mapping[str, Callable[[Path, Path, Array], None]] = {"onnx-fp16": to_fp16, "onnx-int8": to_int8}
_ONNX, _PTE = {"onnx", *_CONVERT}, "pte"


def evaluate(assignment: Assignment, spec: StudySpec, facts: DataFacts | None, hooks: Hooks) -> tuple[Measurement, ...]:
    """Leave in the outbox every format that a kind of the study runs.

    Returns:
        The network's counts where the space could not count ahead; else nothing. What is worth knowing of a file is in
        its own metadata, and from there in the conditions of what is measured with it.

    Raises:
        CandidateFault: `unsupported`, it can't be exported, or the file's answers are others; `out_of_memory`.
        WorldFault: `no_outbox`; the study's data are not here.
    """
    if hooks.outbox is None:
        raise WorldFault("no_outbox", "the worker gave this evaluation no folder for its files")
    problem = facts_of(assignment, facts).problem
    network = candidate(assignment, spec, facts, hooks)
    module = _built(assignment, network.build, problem)
    devices = [spec.device_on(kind) for kind in spec.device_kinds()]
    wanted = {device.artifact for device in devices if device.artifact is not None}
    if wanted & _ONNX:
        inputs = example_inputs(problem, _batch(devices, Runtime.ONNX), seed=assignment.seed)
        _export_onnx(module, inputs, wanted, lambda n: _samples(spec, facts, hooks, n), hooks)
    if _PTE in wanted:
        from nasd.runtimes.executorch import export_pte

        path = hooks.outbox / f"network.{_PTE}"
        export_pte(module, example_inputs(problem, _batch(devices, Runtime.EXECUTORCH), seed=assignment.seed), path)
        hooks.produced[_PTE] = path
    return network.measured(())


def _built(assignment: Assignment, build: Callable[[int], nn.Module] | None, problem: Problem) -> nn.Module:
    with candidate_memory("building the network"):
        if build is not None:
            return build(assignment.seed).eval()
        return build_module(assignment.architecture, problem=problem, seed=assignment.seed).eval()


def _export_onnx(
    module: nn.Module, inputs: Tensor, wanted: Collection[str], samples: Callable[[int], Array], hooks: Hooks
) -> None:
    """The float32 file, whose conversions the others are."""
    assert hooks.outbox is not None
    base = hooks.outbox / "network.onnx"
    export_onnx(module, inputs, base)
    for name, convert in _CONVERT.items():
        if name in wanted:
            path = hooks.outbox / f"{name}.onnx"
            convert(base, path, samples(len(inputs)))
            hooks.produced[name] = path
    if "onnx" in wanted:
        hooks.produced["onnx"] = base


def _batch(devices: Sequence[DeviceSpec], runtime: Runtime) -> int:
    """What a file is made for where it can't be made for any: the largest; the others hear of it."""
    return max(device.batch or 1 for device in devices if device.runtime is runtime)


def _samples(spec: StudySpec, facts: DataFacts | None, hooks: Hooks, n: int) -> Array:
    """`n` inputs at least, spread over the training split, as training would give them to the network."""
    x = split_of(spec, facts, hooks).train_x
    rows = np.linspace(0, len(x) - 1, num=max(n, _N_SAMPLES)).astype(np.intp)  # some twice, where there are few
    if not np.issubdtype(x.dtype, np.floating):
        return np.ascontiguousarray(x[rows])  # tokens
    mean, deviation = moments(x)
    standard: Array = ((x[rows] - mean) / deviation).astype(np.float32)
    return standard
