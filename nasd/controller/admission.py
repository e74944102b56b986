"""Admission: whether a study may propose another trial, and how many may be under way at once."""

from __future__ import annotations

from math import ceil

from nasd.domain.ids import ANYWHERE, DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.study import BudgetSpec, StudySpec

LEARN_WITHIN_S = 0.1  # proposals cover this much of a worker's time: the planner's reaction with a margin
FAST_S = 0.05  # below this an evaluation is so short that a worker would outrun one proposal at a time
MAX_AHEAD = 32  # proposals ahead of one fast worker
MAX_IDLE = 64  # trials beyond the target that wait for devices alone: more would be proposed from too little


def admission_end(budget: BudgetSpec, *, n_charged: int, used_s: float, exhausted: bool) -> str | None:
    """Why no further trial may be proposed, as a person reads it; None while one may."""
    if exhausted:
        return "the space has no further architecture"
    if budget.trials is not None and n_charged >= budget.trials:
        return f"its budget of {budget.trials} trials is used"
    if budget.time_s is not None and used_s >= budget.time_s:
        return f"its time budget of {budget.time_s:g} s is used"
    return None


def stage_kinds(spec: StudySpec) -> tuple[tuple[Stage, DeviceKind], ...]:
    """The evaluations each trial of the study needs, cheap ones first: measured on each kind, trained anywhere."""
    kinds = spec.device_kinds()
    where = {Stage.MEASURE: kinds, Stage.RUN: kinds[:1]}
    return tuple((stage, kind) for stage in spec.stages() for kind in where.get(stage, (ANYWHERE,)))


def target_in_flight(wanted: int | None, *, n_workers: int, evaluation_s: float | None, n_idle: int = 0) -> int:
    """How many trials to have proposed and not learned, so that no worker waits for a proposal.

    Every proposal made ahead of its turn sees less of the history, so slow evaluations get a small look-ahead
    (one a pair of workers) and only very short ones a large one.

    Args:
        wanted: the study file's own number; it is kept to exactly.
        n_workers: live workers that serve the study; 0 still gives a trial, so that the first worker finds one.
        evaluation_s: typical wall seconds of a trial on one worker; None while unknown.
        n_idle: trials that wait for nothing but a device: it must not hold up the others, so they do not count (up to
            MAX_IDLE; what waits longer than the study's patience ends).
    """
    if wanted is not None:
        return wanted
    n_busy, n_idle = max(1, n_workers), min(n_idle, MAX_IDLE)
    if evaluation_s is None or evaluation_s >= FAST_S:
        return n_busy + ceil(n_busy / 2) + n_idle
    ahead = min(MAX_AHEAD, ceil(LEARN_WITHIN_S / max(evaluation_s, 1e-3)))
    return n_busy * (1 + ahead) + n_idle
