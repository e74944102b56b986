"""Measuring: an architecture's latency and memory on this machine, while nothing else of nasd's runs on it."""

from __future__ import annotations

from nasd.domain.data import DataFacts
from nasd.domain.measurement import Measurement
from nasd.domain.study import StudySpec
from nasd.errors import WorldFault
from nasd.profiling import measure
from workers.assignment import Assignment
from workers.hooks import Hooks


def evaluate(assignment: Assignment, spec: StudySpec, facts: DataFacts | None, hooks: Hooks) -> tuple[Measurement, ...]:
    """Build, warm up, then time under the host's lock.

    Raises:
        WorldFault: the study has no recorded data, so the network's input is unknown.
    """
    if facts is None:
        raise WorldFault("no_data_facts", f"study {assignment.study_name}: no input shape recorded; create it again")
    return measure(assignment.architecture, spec, facts, seed=assignment.seed, exclusive=hooks.exclusive)
