"""PgLeaseStore: the workers' side, through the functions of schema `nasd_api` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nasd.domain.architecture import Architecture
from nasd.domain.artifact import ArtifactRef
from nasd.domain.ids import DeviceKind, EvaluationId, StudyId, TrialNumber, WorkerId
from nasd.domain.measurement import Outcome, Stage
from nasd.errors import LeaseLost
from nasd.ports.lease import PROTOCOL, Directive, Exchange, Lease, WorkerInfo
from nasd.store.connect import Reconnecting, statement

_COLUMNS = (  # of `lease.sql`
    "evaluation_id",
    "token",
    "attempt",
    "study_id",
    "study_name",
    "trial_number",
    "stage",
    "device_kind",
    "replicate",
    "seed",
    "fidelity",
    "architecture",
    "artifacts",
)


class PgLeaseStore:
    """One connection, used by the session and its renewing thread in turns; reopened after a loss.

    Raises `DatabaseAway` from every method while the database can't be reached: the caller tries again.
    """

    def __init__(self, url: str, *, duration_s: float, backoff_s: float = 1.0) -> None:
        self._database = Reconnecting(url, purpose="worker")
        self._duration_s, self._backoff_s = duration_s, backoff_s

    def register(self, worker: WorkerInfo) -> WorkerId:
        info = {
            "protocol": PROTOCOL,
            "name": worker.name,
            "host": worker.host,
            "device_kind": worker.device_kind,
            "stages": list(worker.stages),
            "studies": list(worker.studies),
            "packages": list(worker.packages),
            "facts": dict(worker.facts),
            "offers": list(worker.offers),
            "memory_mib": worker.memory_mib,
        }
        return WorkerId(self._value("select nasd_api.register_v1(%s)", json.dumps(info)))

    def lease_next(self, worker: WorkerId) -> Lease | None:
        row = self._database.do(
            lambda c: c.execute(statement("lease"), {"worker": worker, "duration": self._duration_s}).fetchone()
        )
        if row is None:
            return None
        return self._lease(row)

    def recipe(self, worker: WorkerId, study: StudyId) -> Mapping[str, object]:
        recipe: dict[str, object] = self._value("select nasd_api.recipe_v1(%s, %s)", worker, study)
        return recipe

    def renew(self, lease: Lease, progress: Mapping[str, object]) -> Directive:
        answer = self._value(
            "select nasd_api.renew_v1(%s, %s, %s)", lease.evaluation_id, lease.token, json.dumps(dict(progress))
        )
        return Directive(answer)

    def finish(self, lease: Lease, outcome: Outcome) -> None:
        answer = self._value(
            "select nasd_api.finish_v1(%s, %s, %s, %s)",
            lease.evaluation_id,
            lease.token,
            outcome_json(outcome),
            self._backoff_s,
        )
        if answer == "refused":
            raise LeaseLost(lease.evaluation_id, lease.attempt)

    def exchange(self, worker: WorkerId, reports: Sequence[tuple[Lease, Outcome]], n: int) -> Exchange:
        told = ",".join(
            f'{{"evaluation":{lease.evaluation_id},"token":"{lease.token}","outcome":{outcome_json(outcome)}}}'
            for lease, outcome in reports
        )
        arguments = {
            "worker": worker,
            "duration": self._duration_s,
            "reports": f"[{told}]",
            "backoff": self._backoff_s,
            "n": n,
        }
        row = self._database.do(lambda c: c.execute(statement("exchange"), arguments).fetchone())
        assert row is not None
        answers, leases = row[0]["answers"], row[0]["leases"]
        refused = (lease for (lease, _), answer in zip(reports, answers, strict=True) if answer == "refused")
        new = tuple(self._lease([lease[column] for column in _COLUMNS]) for lease in leases)
        return Exchange(leases=new, refused=tuple(refused))

    def give_back(self, lease: Lease) -> None:
        self._value("select nasd_api.give_back_v1(%s, %s)", lease.evaluation_id, lease.token)

    def beat(self, worker: WorkerId, activity: Mapping[str, float]) -> None:
        self._value("select nasd_api.beat_v1(%s, %s)", worker, json.dumps(dict(activity)))

    def leave(self, worker: WorkerId) -> None:
        self._value("select nasd_api.leave_v1(%s)", worker)

    def close(self) -> None:
        self._database.close()

    def _lease(self, row: Sequence[Any]) -> Lease:
        """From the columns of `lease.sql`."""
        return Lease(
            evaluation_id=EvaluationId(row[0]),
            token=row[1],
            attempt=row[2],
            duration_s=self._duration_s,
            study_id=StudyId(row[3]),
            study_name=row[4],
            trial_number=TrialNumber(row[5]),
            stage=Stage(row[6]),
            device_kind=DeviceKind(row[7]),
            replicate=row[8],
            seed=row[9],
            fidelity=row[10],
            architecture=Architecture.from_value(row[11]),
            artifacts=tuple(ArtifactRef(**one) for one in row[12]),
        )

    def _value(self, query: str, *arguments: object) -> Any:
        row = self._database.do(lambda c: c.execute(query, arguments).fetchone())
        assert row is not None
        return row[0]


def outcome_json(outcome: Outcome) -> str:
    """As `finish_v1` reads it; also what a worker spools to disk."""
    return json.dumps(asdict(outcome) | {"kind": str(outcome.kind)}, allow_nan=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} can't be written as JSON")
