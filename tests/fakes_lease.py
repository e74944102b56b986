"""MemoryLeaseStore: `LeaseStore` in memory, obeying the port's laws; with levers for what databases do to workers."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nasd.domain.architecture import Architecture
from nasd.domain.ids import LOCAL, DeviceKind, EvaluationId, StudyId, TrialNumber, WorkerId
from nasd.domain.lifecycle import FINAL, Event, State, after
from nasd.domain.measurement import Outcome, OutcomeKind, Stage
from nasd.domain.seeding import seed_of
from nasd.errors import LeaseLost, Unavailable
from nasd.ports.lease import Directive, Exchange, Lease, WorkerInfo
from nasd.studyfile import spec_from_json
from nasd.usercode import packages_of

MAX_ATTEMPTS = 3
ENDS = {
    OutcomeKind.COMPLETED: Event.MEASURED,
    OutcomeKind.PRUNED: Event.STOPPED_EARLY,
    OutcomeKind.INFEASIBLE: Event.CANDIDATE_FAULT,
}


@dataclass(slots=True)
class Row:
    """One evaluation and what became of it."""

    id: EvaluationId
    study: StudyId
    study_name: str
    trial: TrialNumber
    stage: Stage
    kind: DeviceKind
    architecture: Architecture
    fidelity: int = 0
    state: State = State.QUEUED
    attempt: int = 0
    spent: int = 0
    token: str | None = None  # of the lease that stands
    newest_token: str | None = None
    directive: Directive = Directive.CARRY_ON
    renewals: int = 0
    progress: Mapping[str, object] = field(default_factory=dict)
    outcome: Outcome | None = None
    accepted_token: str | None = None
    superseded: list[Outcome] = field(default_factory=list)


class MemoryLeaseStore:
    """Thread-safe. Set `away` to make every call fail as a lost database does."""

    def __init__(self, *, duration_s: float = 30.0) -> None:
        self._duration_s = duration_s
        self._lock = threading.RLock()
        self._workers: dict[WorkerId, WorkerInfo] = {}
        self._recipes: dict[StudyId, Mapping[str, object]] = {}
        self._packages: dict[StudyId, set[str]] = {}
        self.rows: dict[EvaluationId, Row] = {}
        self._queued: dict[EvaluationId, None] = {}
        self.away = False
        self.unstorable: set[EvaluationId] = set()
        self.n_beats = 0
        self.left: list[WorkerId] = []
        self.activity: Mapping[str, float] = {}

    # what a controller would do

    def add_study(self, recipe: Mapping[str, object]) -> StudyId:
        with self._lock:
            study = StudyId(len(self._recipes) + 1)
            self._recipes[study] = recipe
            self._packages[study] = _packages(recipe)
            return study

    def add(
        self,
        study: StudyId,
        stage: Stage = Stage.RUN,
        *,
        kind: DeviceKind = LOCAL,
        architecture: Architecture | None = None,
        fidelity: int = 0,
    ) -> EvaluationId:
        """Queue an evaluation of a trial of its own."""
        with self._lock:
            number = len(self.rows)
            architecture = architecture or Architecture.of("toy", {"x": number})
            name = str(self._recipes[study].get("name", "toy"))
            row = Row(
                EvaluationId(number + 1), study, name, TrialNumber(number), stage, kind, architecture, fidelity=fidelity
            )
            self.rows[row.id] = row
            self._queued[row.id] = None
            return row.id

    def expire(self, evaluation: EvaluationId) -> None:
        """What the reaper does to a lease that stands still."""
        with self._lock:
            self._requeue(self.rows[evaluation], spend=True)

    def cancel(self, evaluation: EvaluationId) -> None:
        with self._lock:
            row = self.rows[evaluation]
            row.state = after(row.state, Event.CANCELLED)
            row.token = row.newest_token = None
            self._queued.pop(evaluation, None)

    def states(self) -> list[str]:
        return [str(row.state) for row in self.rows.values()]

    def row(self, evaluation: EvaluationId) -> Row:
        return self.rows[evaluation]

    # LeaseStore

    def register(self, worker: WorkerInfo) -> WorkerId:
        with self._reached():
            id_ = WorkerId(len(self._workers) + 1)
            self._workers[id_] = worker
            return id_

    def lease_next(self, worker: WorkerId) -> Lease | None:
        with self._reached():
            info = self._workers.get(worker)
            if info is None:
                raise Unavailable(f"worker {worker}: not registered; start it again")
            for id_ in self._queued:
                row = self.rows[id_]
                wanted = not info.studies or row.study_name in info.studies
                wanted &= self._packages[row.study] <= set(info.packages)
                if row.kind == info.device_kind and row.stage in info.stages and wanted:
                    return self._lease(row)
            return None

    def recipe(self, worker: WorkerId, study: StudyId) -> Mapping[str, object]:
        with self._reached():
            return self._recipes[study]

    def renew(self, lease: Lease, progress: Mapping[str, object]) -> Directive:
        with self._reached():
            row = self.rows[lease.evaluation_id]
            if row.token != lease.token:
                return Directive.ABANDON
            row.renewals += 1
            row.progress = dict(progress)
            return row.directive

    def finish(self, lease: Lease, outcome: Outcome) -> None:
        with self._reached():
            row = self.rows[lease.evaluation_id]
            if lease.evaluation_id in self.unstorable and outcome.reason != "unstorable":
                raise ValueError("a CHECK refuses it")
            if lease.token == row.accepted_token:
                return
            if lease.token != row.newest_token or row.state in FINAL:
                row.superseded.append(outcome)
                raise LeaseLost(lease.evaluation_id, lease.attempt)
            row.accepted_token = lease.token
            if outcome.kind is OutcomeKind.FAILED:
                row.outcome = outcome
                if row.state is State.RUNNING:
                    self._requeue(row, spend=True)
                return
            row.state = after(row.state, ENDS[outcome.kind])
            row.outcome, row.token = outcome, None
            self._queued.pop(row.id, None)

    def exchange(self, worker: WorkerId, reports: Sequence[tuple[Lease, Outcome]], n: int) -> Exchange:
        with self._reached():
            refused = []
            for lease, outcome in reports:
                try:
                    self.finish(lease, outcome)
                except LeaseLost:
                    refused.append(lease)
            leases = (self.lease_next(worker) for _ in range(n))
            return Exchange(leases=tuple(lease for lease in leases if lease is not None), refused=tuple(refused))

    def give_back(self, lease: Lease) -> None:
        with self._reached():
            row = self.rows[lease.evaluation_id]
            if row.token == lease.token:
                self._requeue(row, spend=False)

    def beat(self, worker: WorkerId, activity: Mapping[str, float]) -> None:
        with self._reached():
            self.n_beats += 1
            self.activity = dict(activity)

    def leave(self, worker: WorkerId) -> None:
        with self._reached():
            self._workers.pop(worker, None)
            self.left.append(worker)

    def _reached(self) -> threading.RLock:
        if self.away:
            raise ConnectionError("the database is away")
        return self._lock

    def _lease(self, row: Row) -> Lease:
        del self._queued[row.id]
        row.state = after(row.state, Event.LEASED)
        row.attempt += 1
        row.token = row.newest_token = secrets.token_hex(8)
        row.directive, row.renewals = Directive.CARRY_ON, 0
        return Lease(
            evaluation_id=row.id,
            token=row.token,
            attempt=row.attempt,
            duration_s=self._duration_s,
            study_id=row.study,
            study_name=row.study_name,
            trial_number=row.trial,
            stage=row.stage,
            device_kind=row.kind,
            replicate=0,
            seed=seed_of("test", row.id) & 0x7FFF_FFFF,
            fidelity=row.fidelity,
            architecture=row.architecture,
        )

    def _requeue(self, row: Row, *, spend: bool) -> None:
        row.token = None
        row.spent += spend
        event = Event.WORLD_FAULT if spend else Event.DRAINED
        if row.spent >= MAX_ATTEMPTS:
            event = Event.ATTEMPTS_SPENT
        row.state = after(row.state, event)
        if row.state is State.QUEUED:
            self._queued[row.id] = None


def _packages(recipe: Mapping[str, object]) -> set[str]:
    """That the study's functions come from; a recipe that can't be read names none."""
    try:
        return set(packages_of(spec_from_json(recipe["spec"])))
    except (KeyError, ValueError):
        return set()
