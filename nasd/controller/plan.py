"""plan: what the planner does for one study next, from a snapshot of figures; `advance` and a store carry it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nasd.controller.able import proposing_for
from nasd.controller.admission import target_in_flight
from nasd.ports.trials import LiveWorker, Step, Study, StudyState

ACCOUNT_EVERY_S = 1.0  # used time is written at most this often


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The figures that a decision about one study rests on.

    Attributes:
        workers: live ones.
        evaluation_s: typical wall seconds of a trial on one worker; None while unknown.
        unaccounted_s: wall seconds of leading a running study that no step has carried yet.
        n_idle: trials that wait for nothing but devices.
    """

    study: Study
    workers: Sequence[LiveWorker]
    evaluation_s: float | None
    unaccounted_s: float
    n_idle: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        target: trials to have in flight.
        admit: new trials may be proposed and the study may end.
        account_s: seconds to add to the study's used time with the next step.
    """

    target: int
    admit: bool
    account_s: float


def plan(snapshot: Snapshot) -> Plan:
    """Running studies get trials and pay for time; paused ones only learn."""
    spec = snapshot.study.spec
    admit = snapshot.study.state is StudyState.RUNNING
    target = target_in_flight(
        spec.strategy.in_flight,
        n_workers=len(proposing_for(spec, snapshot.workers)),
        evaluation_s=snapshot.evaluation_s,
        n_idle=snapshot.n_idle,
    )
    is_due = admit and snapshot.unaccounted_s >= ACCOUNT_EVERY_S
    return Plan(target=target, admit=admit, account_s=snapshot.unaccounted_s if is_due else 0.0)


def is_empty(step: Step) -> bool:
    """Nothing to store."""
    rows = (step.facts, step.trials, step.new_rounds, step.front, step.reference, step.joined, step.granted)
    return not any(rows) and step.state is None and not step.cancel_open and step.used_s <= 0


def needs_another_tick(step: Step, *, n_finished: int, batch: int) -> bool:
    """More is known to be final already: a full batch, or a trial that broke a limit when it was counted."""
    return n_finished >= batch or any(not trial.evaluations for trial in step.trials)
