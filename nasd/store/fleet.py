"""PgFleetStore: what waits for which device. Every write is one transaction, fenced by the leader's epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nasd.domain.ids import DeviceKind, StudyId, TrialNumber
from nasd.domain.measurement import Stage
from nasd.ports.fleet import QueuedMeasure, Waiting
from nasd.store.connect import Connection, Reconnecting, statement


class PgFleetStore:
    """One connection for one loop; reopened after a loss. Raises `DatabaseAway` while the database can't be reached."""

    def __init__(self, url: str, *, purpose: str) -> None:
        self._database = Reconnecting(url, purpose=f"controller {purpose}")

    def waiting(self) -> Sequence[Waiting]:
        rows = self._database.do(lambda c: c.execute(statement("waiting")).fetchall())
        return [
            Waiting(
                study=StudyId(row[0]),
                study_name=row[1],
                packages=tuple(row[2]),
                stage=Stage(row[3]),
                device_kind=DeviceKind(row[4]),
                needs=tuple(row[5]),
                needs_memory_mib=row[6],
                n=row[7],
                lacks=row[8],
            )
            for row in rows
        ]

    def idle(self) -> Mapping[StudyId, int]:
        rows = self._database.do(lambda c: c.execute(statement("idle")).fetchall())
        return {StudyId(study): n for study, n in rows}

    def relax(self, epoch: int, limit: int) -> int:
        rows = self._database.do(lambda c: c.execute(statement("to_relax"), {"limit": limit}).fetchall())
        return sum(self._relax(epoch, trial, patience_s) for trial, patience_s in rows)

    def _relax(self, epoch: int, trial: int, patience_s: float) -> bool:
        def write(connection: Connection) -> bool:
            # one transaction a trial, as the reaper's: no two trials' rows are locked at once
            with connection.transaction():
                connection.execute("select nasd_core.fence(%s)", [epoch])
                row = connection.execute("select nasd_core.relax_trial(%s, %s)", [trial, patience_s]).fetchone()
            return bool(row and row[0])

        return self._database.do(write)

    def mend(self, epoch: int, limit: int) -> int:
        def write(connection: Connection) -> int:
            with connection.transaction():
                # alone among the leader's transactions: the planner may be about to ask for the same export
                connection.execute("select from nasd_core.leader where epoch = %s for update", [epoch])
                connection.execute("select nasd_core.fence(%s)", [epoch])
                return connection.execute(statement("mend"), {"limit": limit}).rowcount

        return self._database.do(write)

    def queued_measures(self, study: StudyId, kind: DeviceKind, limit: int) -> Sequence[QueuedMeasure]:
        which = {"study": study, "kind": kind, "limit": limit}
        rows = self._database.do(lambda c: c.execute(statement("queued_measures"), which).fetchall())
        return [QueuedMeasure(evaluation_id=row[0], number=TrialNumber(row[1]), priority=row[2]) for row in rows]

    def prioritise(self, epoch: int, priorities: Mapping[int, int]) -> None:
        arrays = {"ids": list(priorities), "priorities": list(priorities.values())}

        def write(connection: Connection) -> None:
            with connection.transaction():
                connection.execute("select nasd_core.fence(%s)", [epoch])
                connection.execute(statement("prioritise"), arrays)

        self._database.do(write)

    def close(self) -> None:
        self._database.close()
