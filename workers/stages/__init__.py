"""One function per stage: `evaluate(assignment, spec, facts, hooks) -> measurements`. They run in the evaluating child.

Each module is imported when its stage first comes up, so that a worker without torch can still serve the others.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TypeAlias, cast

from nasd.domain.data import DataFacts
from nasd.domain.measurement import Measurement, Stage
from nasd.domain.study import StudySpec
from workers.assignment import Assignment
from workers.hooks import Hooks

Evaluate: TypeAlias = Callable[[Assignment, StudySpec, DataFacts | None, Hooks], tuple[Measurement, ...]]

MODULES = {
    Stage.TRAIN: "workers.stages.train",
    Stage.MEASURE: "workers.stages.measure",
    Stage.RUN: "workers.stages.run",
}
NEEDS_TORCH = frozenset({Stage.TRAIN, Stage.MEASURE})


def evaluate_of(stage: Stage) -> Evaluate:
    """The stage's function, importing what it needs."""
    return cast("Evaluate", import_module(MODULES[stage]).evaluate)
