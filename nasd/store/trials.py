"""PgTrialStore: the controller's rows. Every write is one transaction, fenced by the leader's epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts
from nasd.domain.history import Fact, Proposal
from nasd.domain.ids import DeviceKind, LearnedSeq, StudyId, TrialId, TrialNumber
from nasd.domain.killpoints import killpoint
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.ports.trials import (
    Finished,
    LiveWorker,
    OpenLease,
    Step,
    StoredTrial,
    Study,
    StudyState,
    Wanted,
)
from nasd.store.connect import Connection, Reconnecting, statement
from nasd.store.step_rows import step_rows, study_row
from nasd.studyfile import spec_from_json


class PgTrialStore:
    """One connection for one loop; reopened after a loss. Raises `DatabaseAway` while the database can't be reached."""

    def __init__(self, url: str, *, purpose: str, max_attempts: int = 3, backoff_s: float = 1.0) -> None:
        self._database = Reconnecting(url, purpose=f"controller {purpose}")
        self._max_attempts, self._backoff_s = max_attempts, backoff_s

    def studies(self) -> Sequence[Study]:
        return self._database.do(lambda c: [study_of(row) for row in c.execute(statement("studies_open")).fetchall()])

    def history(self, study: StudyId) -> tuple[Sequence[StoredTrial], Sequence[Fact]]:
        def read(connection: Connection) -> tuple[list[StoredTrial], list[Fact]]:
            with connection.transaction():
                connection.execute("set transaction isolation level repeatable read")
                trials = connection.execute(statement("history_trials"), {"study": study}).fetchall()
                facts = connection.execute(statement("history_facts"), {"study": study}).fetchall()
            return [_stored_trial(row) for row in trials], [_fact(row) for row in facts]

        return self._database.do(read)

    def finished(self, study: StudyId, limit: int) -> Sequence[Finished]:
        rows = self._database.do(
            lambda c: c.execute(statement("finished"), {"study": study, "limit": limit}).fetchall()
        )
        return [
            Finished(
                trial_id=TrialId(row[0]),
                number=TrialNumber(row[1]),
                kind=row[2],
                state=State(row[3]),
                values=row[4],
                violation=row[5],
            )
            for row in rows
        ]

    def apply(self, epoch: int, step: Step) -> None:
        many = step_rows(step, max_attempts=self._max_attempts)
        study = study_row(step, max_attempts=self._max_attempts)

        def write(connection: Connection) -> None:
            with connection.pipeline(), connection.transaction(), connection.cursor() as cursor:
                cursor.execute("select nasd_core.fence(%(epoch)s)", {"epoch": epoch})
                killpoint("store.apply.after_fence")
                for name, rows in many:
                    # one statement a row: each finds its row by key, where a join with a list may read the whole table
                    cursor.executemany(statement(name), rows)
                if step.trials:
                    cursor.execute(statement("insert_trials"), study)
                if step.cancel_open:
                    cursor.execute("select nasd_core.cancel_study(%(study)s, %(state_reason)s)", study)
                cursor.execute(statement("update_study"), study)
                if step.state is not None:
                    cursor.execute(statement("end_study"), study)
                killpoint("store.apply.before_commit")

        self._database.do(write)

    def open_leases(self) -> Sequence[OpenLease]:
        rows = self._database.do(lambda c: c.execute(statement("open_leases")).fetchall())
        return [OpenLease(evaluation_id=row[0], token=row[1], renewals=row[2], duration_s=row[3]) for row in rows]

    def expire(self, epoch: int, leases: Sequence[OpenLease], *, spend_attempt: bool) -> int:
        return sum(self._expire_one(epoch, lease, spend_attempt) for lease in leases)

    def _expire_one(self, epoch: int, lease: OpenLease, spend: bool) -> bool:
        return self._database.do(lambda connection: self._expire(connection, epoch, lease, spend))

    def _expire(self, connection: Connection, epoch: int, lease: OpenLease, spend: bool) -> bool:
        # one transaction a lease: two trials' rows are never locked at once, so that no lock order can be violated
        with connection.transaction():
            connection.execute("select nasd_core.fence(%s)", [epoch])
            row = connection.execute(
                "select nasd_core.expire_lease(%s, %s, %s, %s, %s)",
                [lease.evaluation_id, lease.token, lease.renewals, spend, self._backoff_s],
            ).fetchone()
            killpoint("store.expire.before_commit")
        return bool(row and row[0])

    def n_open(self, study: StudyId) -> Mapping[DeviceKind, int]:
        rows = self._database.do(lambda c: c.execute(statement("open_evaluations"), {"study": study}).fetchall())
        return {DeviceKind(kind): n for kind, n in rows}

    def workers(self) -> Sequence[LiveWorker]:
        rows = self._database.do(lambda c: c.execute(statement("live_workers")).fetchall())
        return [
            LiveWorker(
                name=row[1],
                device_kind=DeviceKind(row[2]),
                stages=tuple(Stage(stage) for stage in row[3]),
                studies=tuple(row[4]),
                beats=row[5],
                last_seen_at=row[6],
                packages=tuple(row[7]),
                offers=tuple(row[8]),
                memory_mib=row[9],
                is_draining=row[10],
            )
            for row in rows
        ]

    def close(self) -> None:
        self._database.close()


def _stored_trial(row: tuple[object, ...]) -> StoredTrial:
    number, architecture, operator, parents, notes, proposed_from, strategy, version = row
    assert isinstance(architecture, Mapping)
    assert isinstance(parents, list)
    assert isinstance(notes, Mapping)
    return StoredTrial(
        number=TrialNumber(int(str(number))),
        proposal=Proposal(
            architecture=Architecture.from_value(architecture),
            operator=str(operator),
            parents=tuple(TrialNumber(parent) for parent in parents),
            notes=notes,
        ),
        proposed_from=LearnedSeq(int(str(proposed_from))),
        strategy=str(strategy),
        strategy_version=str(version),
    )


def _fact(row: tuple[object, ...]) -> Fact:
    seq, kind, number, state, values, violation = row
    assert isinstance(seq, int)
    assert isinstance(number, int)
    assert isinstance(values, Mapping)
    assert isinstance(violation, float)
    return Fact(
        seq=LearnedSeq(seq),
        kind=str(kind),
        trial=TrialNumber(number),
        state=State(str(state)),
        values=values,
        violation=violation,
    )


def study_of(row: tuple[object, ...]) -> Study:
    """A study from the columns of `studies_open.sql`."""
    id_, name, spec, data, state, used_s, strategy_version, reference, joined, wanted = row
    assert isinstance(id_, int)
    assert isinstance(spec, Mapping)
    assert isinstance(used_s, float)
    assert isinstance(reference, Mapping)
    assert isinstance(joined, Mapping)
    assert isinstance(wanted, Mapping)
    return Study(
        id=StudyId(id_),
        name=str(name),
        spec=spec_from_json(spec),
        data=None if data is None else data_of(data),
        state=StudyState(str(state)),
        used_s=used_s,
        strategy_version=None if strategy_version is None else str(strategy_version),
        reference=reference,
        joined=joined,
        wanted={kind: Wanted(which) for kind, which in wanted.items()},
    )


def data_of(value: object) -> DataFacts:
    """DataFacts from its JSON."""
    assert isinstance(value, Mapping)
    return DataFacts.from_json(value)
