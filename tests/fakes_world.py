"""The rows behind the in-memory stores, and what workers do to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from threading import RLock

from nasd.domain.history import Fact
from nasd.domain.ids import ANYWHERE, DeviceKind, StudyId, TrialId, TrialNumber
from nasd.domain.lifecycle import SETTLES_TRIAL, State, fold
from nasd.domain.measurement import Stage
from nasd.ports.trials import (
    FrontChange,
    LiveWorker,
    NewEvaluation,
    NewTrial,
    Study,
    StudyState,
)

OPEN = frozenset({StudyState.RUNNING, StudyState.PAUSED})


@dataclass(slots=True)
class EvaluationRow:
    id: int
    study: StudyId
    number: TrialNumber
    new: NewEvaluation
    state: State = State.QUEUED
    attempt: int = 0
    token: str = ""
    renewals: int = 0


@dataclass(slots=True)
class TrialRow:
    id: TrialId
    new: NewTrial
    state: State
    values: dict[str, float]
    violation: float
    pending: str | None = None
    finished_at: int = 0  # a counter: the order in which trials became final


@dataclass(slots=True)
class StudyRow:
    study: Study
    trials: list[TrialRow] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    fronts: list[FrontChange] = field(default_factory=list)
    reason: str | None = None


class World:
    """The rows. `lease`, `finish`, `lose` and `revise` are what workers do to them."""

    def __init__(self, *, max_attempts: int = 2) -> None:
        self.lock = RLock()
        self.rows: dict[StudyId, StudyRow] = {}
        self.evaluations: list[EvaluationRow] = []
        self.live: list[LiveWorker] = []
        self.epoch, self.holder, self.beats = 0, None, 0
        self.max_attempts = max_attempts
        self.caches: dict[tuple, tuple] = {}
        self.rings: Counter[DeviceKind] = Counter()
        self.away = False  # the database can't be reached
        self.n_calls: Counter[str] = Counter()
        self._n_final = 0

    def add(self, study: Study) -> StudyId:
        with self.lock:
            self.rows[study.id] = StudyRow(study)
        return study.id

    def set_study(self, study: StudyId, **changes: object) -> None:
        with self.lock:
            self.rows[study].study = replace(self.rows[study].study, **changes)

    # the worker's side
    def queue(self) -> list[EvaluationRow]:
        """Queued evaluations in the order in which they are leased."""
        queued = [
            each
            for each in self.evaluations
            if each.state is State.QUEUED and self.rows[each.study].study.state in OPEN
        ]
        return sorted(queued, key=lambda each: (-each.new.priority, each.id))

    def lease(self, kinds: Collection[DeviceKind] | None = None) -> EvaluationRow | None:
        """The next for a worker of one of `kinds` that can do everything; None: of any kind."""
        with self.lock:
            queued = [each for each in self.queue() if kinds is None or each.new.device_kind in (*kinds, ANYWHERE)]
            if not queued:
                return None
            row = queued[0]
            row.state, row.attempt = State.RUNNING, row.attempt + 1
            row.token, row.renewals = f"{row.id}-{row.attempt}", 0
            return row

    def finish(
        self, row: EvaluationRow, values: Mapping[str, float], *, state: State = State.COMPLETED, violation: float = 0.0
    ) -> None:
        """The outcome of a leased evaluation."""
        with self.lock:
            assert row.state is State.RUNNING
            row.state = state
            trial = self.rows[row.study].trials[row.number]
            trial.values = {**trial.values, **values}
            self._told(row, trial, violation)

    def lose(self, row: EvaluationRow, *, spend: bool = True) -> None:
        """The world's fault: queued again, or failed when no attempt is left."""
        with self.lock:
            row.attempt -= 0 if spend else 1
            spent = row.attempt >= self.max_attempts
            row.state = State.FAILED if spent else State.QUEUED
            if spent:
                self._told(row, self.rows[row.study].trials[row.number], 0.0)

    def relax(self, study: StudyId, number: int) -> bool:
        """A trial that waits for nothing but measurements ends without them."""
        with self.lock:
            mine = self.required(study, number)
            waits = [row for row in mine if row.state is State.QUEUED and row.new.stage is Stage.MEASURE]
            ended = [row for row in mine if row.state is State.COMPLETED]
            if not waits or not ended or len(waits) + len(ended) < len(mine):
                return False
            for row in waits:
                row.new = replace(row.new, is_required=False)
            self._refold(study, self.rows[study].trials[number], 0.0)
            return True

    def required(self, study: StudyId, number: int) -> list[EvaluationRow]:
        """What the trial waits for."""
        return [
            each
            for each in self.evaluations
            if (each.study, each.number) == (study, number) and each.new.round == 1 and each.new.is_required
        ]

    def _told(self, row: EvaluationRow, trial: TrialRow, violation: float) -> None:
        """An evaluation ended: it settles its trial, or it revises one that is final."""
        if trial.state not in {State.QUEUED, State.RUNNING}:
            trial.pending = trial.pending or "revision"
        elif row.new.round == 1 and row.new.is_required:
            self._refold(row.study, trial, violation)

    def revise(self, study: StudyId, number: int, values: Mapping[str, float]) -> None:
        """A value of a final trial changes."""
        with self.lock:
            trial = self.rows[study].trials[number]
            trial.values = {**trial.values, **values}
            trial.pending = trial.pending or "revision"

    def _refold(self, study: StudyId, trial: TrialRow, violation: float) -> None:
        mine = self.required(study, trial.new.number)
        trial.state = fold(each.state for each in mine)
        if trial.state in SETTLES_TRIAL:
            for each in mine:
                each.state = State.CANCELLED if each.state in {State.QUEUED, State.RUNNING} else each.state
        if trial.state not in {State.QUEUED, State.RUNNING}:
            self._n_final += 1
            trial.pending, trial.finished_at, trial.violation = "result", self._n_final, violation
