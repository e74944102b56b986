"""Training: an architecture's validation error after the study's equal budget of optimiser steps."""

from __future__ import annotations

from nasd.data import search_split
from nasd.domain.data import DataFacts
from nasd.domain.measurement import Measurement
from nasd.domain.study import StudySpec
from nasd.training import train
from workers.assignment import Assignment
from workers.hooks import Hooks


def evaluate(assignment: Assignment, spec: StudySpec, facts: DataFacts | None, hooks: Hooks) -> tuple[Measurement, ...]:
    """Train on the splits a search may see.

    Raises:
        CandidateFault: it diverged or does not fit.
        WorldFault: this machine's data is not what the study recorded.
    """
    return train(
        assignment.architecture,
        spec,
        search_split(spec.data, facts),
        seed=assignment.seed,
        steps=assignment.fidelity,
        at_step=hooks.at_step,
    )
