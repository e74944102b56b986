"""Training: an architecture's validation error after the study's equal budget of optimiser steps."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from nasd.domain.data import DataFacts
from nasd.domain.measurement import Measurement
from nasd.domain.objective import SOURCES
from nasd.domain.study import StudySpec
from nasd.errors import CandidateFault
from nasd.training import train
from nasd.usercode import load_function
from workers.assignment import Assignment
from workers.hooks import Hooks, StoppedEarly
from workers.scratch import Scratch, kept_for_another_attempt, scratch_of
from workers.stages.candidate import candidate
from workers.stages.split import split_of


def evaluate(assignment: Assignment, spec: StudySpec, facts: DataFacts | None, hooks: Hooks) -> tuple[Measurement, ...]:
    """Train on the splits a search may see; an attempt that follows another one on this host goes on where it was.

    Raises:
        CandidateFault: it diverged, does not fit, is over a limit, or the user's module or metric can't be used.
        FunctionError: one of the user's functions can't be imported.
        WorldFault: this machine's data is not what the study recorded.
    """
    metric = None
    if spec.train.metric is not None:
        metric = load_function(spec.train.metric, what="train.metric", allow=hooks.allow)
    split = split_of(spec, facts, hooks)
    network = candidate(assignment, spec, facts, hooks)
    scratch = scratch_of(assignment, spec, hooks)
    with kept_for_another_attempt(scratch):
        try:
            measured = train(
                assignment.architecture,
                spec,
                split,
                seed=assignment.seed,
                steps=assignment.fidelity,
                at_step=hooks.at_step,
                report=lambda _, values: hooks.partial.update(values),
                build=network.build,
                metric=metric,
                checkpoint=None if scratch is None else _Checkpoint(scratch),
            )
        except StoppedEarly as stop:
            stop.measurements = network.measured(_so_far(stop.values, spec))
            raise
    _check_metric(spec, {one.name for one in measured})
    return network.measured(measured)


class _Checkpoint:
    """`nasd.training.CheckpointStore` in the host's scratch folder."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch

    def load(self) -> bytes | None:
        found = self._scratch.load()
        return found if isinstance(found, bytes) else None

    def save(self, content: bytes) -> None:
        self._scratch.save(content)


def _so_far(values: Mapping[str, float], spec: StudySpec) -> tuple[Measurement, ...]:
    """The last validation's values."""
    return tuple(Measurement(name, value, spec.unit_of(name)) for name, value in values.items())


def _check_metric(spec: StudySpec, found: Collection[str]) -> None:
    """Refuse a metric that leaves an objective or a limit without a value.

    Raises:
        CandidateFault: `bad_result`.
    """
    missing = [name for name in spec.quantities() if name not in SOURCES and name not in found]
    if missing:
        raise CandidateFault(
            "bad_result",
            f'train.metric = "{spec.train.metric}": gave no {", ".join(missing)}; objectives and limits need it',
        )
