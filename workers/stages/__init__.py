"""One function per stage: `evaluate(assignment, spec, facts, hooks) -> measurements`. They run in the evaluating child.

Each module is imported when its stage first comes up, so that a worker without torch can still serve the others.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias, cast

from nasd.domain.data import DataFacts
from nasd.domain.ids import DeviceKind
from nasd.domain.measurement import Measurement, Stage
from nasd.domain.study import StudySpec
from workers.assignment import Assignment
from workers.hooks import Hooks

Evaluate: TypeAlias = Callable[[Assignment, StudySpec, DataFacts | None, Hooks], tuple[Measurement, ...]]

MODULES = {
    Stage.TRAIN: "workers.stages.train",
    Stage.EXPORT: "workers.stages.export",
    Stage.MEASURE: "workers.stages.measure",
    Stage.RUN: "workers.stages.run",
}


def evaluate_of(stage: Stage) -> Evaluate:
    """The stage's function, importing what it needs."""
    return cast("Evaluate", import_module(MODULES[stage]).evaluate)


def needs_torch(stage: Stage, spec: StudySpec, kind: DeviceKind) -> bool:
    """Whether carrying out `stage` takes torch: measuring takes it where `kind`'s runtime does.

    A user's own function may import it; that is its own business.
    """
    match stage:
        case Stage.TRAIN | Stage.EXPORT:
            return True
        case Stage.MEASURE:
            return spec.device_on(kind).needs_torch
        case Stage.RUN:
            return False
