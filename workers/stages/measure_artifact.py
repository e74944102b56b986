"""Measuring a file that was exported elsewhere, by a runtime that needs no torch (ExecuTorch's does)."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from nasd.domain.data import DataFacts, Problem
from nasd.domain.devices import DeviceSpec, Runtime
from nasd.domain.measurement import UNITS, JsonObject, Measurement
from nasd.domain.study import StudySpec
from nasd.errors import WorldFault
from nasd.profiling.process_memory import measured_in_child
from nasd.runtimes.base import Runner
from workers.assignment import Assignment
from workers.hooks import Hooks
from workers.stages.measure import observed, wanted_on


def evaluate(assignment: Assignment, spec: StudySpec, facts: DataFacts, hooks: Hooks) -> tuple[Measurement, ...]:
    """See `workers.stages.measure`; memory is what a process takes for the network, where it is asked for."""
    device = spec.device_on(assignment.device_kind)
    path = _path(assignment, device)
    with closing(_opened(path, device, facts.problem, seed=assignment.seed)) as runner:
        measured = tuple(observed(runner, assignment, spec, hooks))
        conditions = runner.conditions
    if "peak_memory_bytes" not in wanted_on(assignment, spec):
        return measured
    return (*measured, _memory(path, device, facts.problem, conditions))


def _path(assignment: Assignment, device: DeviceSpec) -> Path:
    name = device.artifact
    assert name is not None
    if name not in assignment.artifacts:
        have = ", ".join(assignment.artifacts) or "none"
        raise WorldFault(
            "artifact_missing", f"trial {assignment.trial_number} has no {name} file (it has {have}); export it again"
        )
    return Path(assignment.artifacts[name])


def _opened(path: Path, device: DeviceSpec, problem: Problem, *, seed: int) -> Runner:
    if device.runtime is Runtime.EXECUTORCH:
        from nasd.runtimes.executorch import open_pte

        return open_pte(path, device, problem, seed=seed)
    from nasd.runtimes.onnx import open_onnx

    return open_onnx(path, device, problem, seed=seed)


def _memory(path: Path, device: DeviceSpec, problem: Problem, conditions: JsonObject) -> Measurement:
    """`peak_memory_bytes`: what a fresh process grows by while it opens the file and runs it.

    Raises:
        WorldFault: `memory_unknown`, the system does not tell, or the network runs beside the processor's own memory.
    """
    if device.runtime is not Runtime.ONNX or device.provider not in (None, "cpu"):
        raise WorldFault("memory_unknown", f"{device.offer}: its memory can't be measured; leave peak_memory_bytes out")
    found = measured_in_child(
        "nasd.runtimes.onnx:run_a_few",
        str(path), device.threads or 1, device.batch or 1, list(problem.input_shape), problem.vocabulary,
    )  # fmt: skip
    return Measurement(
        name="peak_memory_bytes",
        value=float(found.growth),
        unit=UNITS["peak_memory_bytes"],
        conditions={**conditions, "counted": "process", "base_bytes": found.base, "file_bytes": path.stat().st_size},
    )
