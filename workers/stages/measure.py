"""Measuring: an architecture's latency and memory on this machine, while nothing else of nasd's runs on it."""

from __future__ import annotations

from nasd.domain.data import DataFacts
from nasd.domain.measurement import Measurement
from nasd.domain.study import StudySpec
from nasd.profiling import measure
from workers.assignment import Assignment
from workers.hooks import Hooks
from workers.stages.candidate import candidate, facts_of


def evaluate(assignment: Assignment, spec: StudySpec, facts: DataFacts | None, hooks: Hooks) -> tuple[Measurement, ...]:
    """Build, warm up, then time under the host's lock.

    Raises:
        CandidateFault: it does not fit, is over a limit, or the user's module can't be used.
        WorldFault: the study has no recorded data, so the network's input is unknown.
    """
    network = candidate(assignment, spec, facts, hooks)
    measured = measure(
        assignment.architecture,
        spec,
        facts_of(assignment, facts),
        seed=assignment.seed,
        exclusive=hooks.exclusive,
        build=network.build,
    )
    return network.measured(measured)
