"""What tests of exports and runtimes share: small networks of every kind, and one evaluation in a real child."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nasd.config import WorkerSettings
from nasd.data import describe
from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts, Problem, Task
from nasd.domain.devices import DevicePrecision, DeviceSpec, Runtime
from nasd.domain.ids import DeviceKind, StudyId, TrialNumber
from nasd.domain.measurement import Measurement, Outcome, Stage
from nasd.domain.study import BudgetSpec, DataSpec, MeasureSpec, ModelSpec, ObjectiveSpec, SpaceSpec, StudySpec
from nasd.studyfile import spec_to_json
from workers.assignment import Assignment
from workers.control import Control
from workers.evaluator import Evaluator
from workers.hooks import Hooks
from workers.hostlock import HostLock
from workers.stages import evaluate_of

IMAGES = Problem(input_shape=(1, 8, 8), n_outputs=10)
TOKENS = Problem(input_shape=(16,), n_outputs=50, task=Task.LM, vocabulary=50)
MLP = Architecture.of(
    "mlp", {"layers": 2, "widths": (64, 32), "activation": "relu", "norm": "batchnorm", "dropout": 0.1}
)
_TRANSFORMER = {
    "activation": "gelu", "attention": "full", "d_model": 32, "dropout": 0.1, "experts": "none", "heads": 2,
    "layers": 1, "mlp_ratio": 2, "n_experts": None, "norm_position": "pre", "positions": "rotary",
    "sharing": "none", "stride": None, "top_k": None, "window": None,
}  # fmt: skip
MIXTURE = {"experts": "mixture", "n_experts": 4, "top_k": 2}


def transformer(problem: Problem, **genes: Any) -> Architecture:
    """A small one for images or tokens."""
    size = {"context": 16, "embedding": 32} if problem.vocabulary else {"patch": 2}
    return Architecture.of("transformer", _TRANSFORMER | size | genes)


KINDS = {
    "board": DeviceSpec(runtime=Runtime.ONNX, batch=1),
    "half": DeviceSpec(runtime=Runtime.ONNX, precision=DevicePrecision.FP16, batch=4),
    "bytes": DeviceSpec(runtime=Runtime.ONNX, precision=DevicePrecision.INT8),
}


def study(
    kinds: Mapping[str, DeviceSpec],
    *,
    space: str = "mlp",
    build: str | None = None,
    objectives: tuple[str, ...] = ("latency_ms",),
) -> StudySpec:
    """One that measures `objectives` on `kinds`, on digits."""
    return StudySpec(
        name="fleet",
        data=DataSpec(use="digits"),
        space=SpaceSpec(kind=space),
        model=ModelSpec(build=build),
        measure=MeasureSpec(windows=2, window_s=0.002, warmup_s=0.001),
        devices=dict(kinds),
        objectives={name: ObjectiveSpec(on=tuple(kinds)) for name in objectives} | {"val_error": ObjectiveSpec()},
        budget=BudgetSpec(trials=1),
    )


def exported_here(
    folder: Path, spec: StudySpec, architecture: Architecture, *, allow: tuple[str, ...] = ()
) -> tuple[tuple[Measurement, ...], dict[str, Path]]:
    """What the export stage returns and makes in this process, which loads torch's exporter once for all tests."""
    control, descriptor = Control.create()
    os.close(descriptor)
    hooks = Hooks(control, HostLock(folder), allow=frozenset(allow), outbox=folder)
    try:
        assignment = assignment_of(Stage.EXPORT, architecture, "any")
        return evaluate_of(Stage.EXPORT)(assignment, spec, describe(spec.data), hooks), dict(hooks.produced)
    finally:
        hooks.leave()
        control.close()


def assignment_of(stage: Stage, architecture: Architecture, kind: str, **more: Any) -> Assignment:
    """Trial 0 with seed 5."""
    return Assignment(
        study_id=StudyId(1),
        study_name="fleet",
        trial_number=TrialNumber(0),
        stage=stage,
        device_kind=DeviceKind(kind),
        replicate=0,
        seed=5,
        fidelity=0,
        architecture=architecture,
        **more,
    )


class Child:
    """A worker's evaluating process, a folder for what it makes, and one study."""

    def __init__(
        self, folder: Path, spec: StudySpec, *, facts: DataFacts | None = None, allow: tuple[str, ...] = ()
    ) -> None:
        facts = facts or describe(spec.data)
        self.evaluator = Evaluator(WorkerSettings(allow=allow), warm=False, lock_directory=folder)
        self.outbox = folder / "outbox"
        self.outbox.mkdir(exist_ok=True)
        self._recipe = {"spec": spec_to_json(spec), "data": asdict(facts)}

    def run(
        self, stage: Stage, architecture: Architecture, kind: str = "any", *, artifacts: Mapping[str, str] | None = None
    ) -> Outcome:
        """Carry it out as a worker would."""
        outbox = str(self.outbox) if stage is Stage.EXPORT else None
        assignment = assignment_of(stage, architecture, kind, artifacts=artifacts or {}, outbox=outbox)
        outcome = self.evaluator.evaluate(assignment, self._recipe)
        assert outcome is not None
        return outcome

    def close(self) -> None:
        """End the process."""
        self.evaluator.close()

    def files(self) -> dict[str, str]:
        """Paths of what the last evaluation made, by format."""
        return {name: str(self.outbox / file) for name, file in self.evaluator.produced.items()}
