"""PgLeadership: one row with an epoch says who acts; a counter beside it says that they live."""

from __future__ import annotations

import psycopg

from nasd.errors import Deposed
from nasd.store.connect import Connection, Reconnecting, statement

LOCK_MS = 1000  # an orderly step holds the row for milliseconds
TERMINATE_MS = 5000


class PgLeadership:
    """Taking, watching and keeping the lead."""

    def __init__(self, url: str) -> None:
        self._database = Reconnecting(url, purpose="controller leadership")

    def take(self, holder: str, *, depose: int | None) -> int | None:
        def write(connection: Connection) -> int | None:
            try:
                return _take(connection, holder, depose)
            except psycopg.errors.LockNotAvailable:
                # a leader that stood still in mid-transaction holds the row for as long as its connection lives; in a
                # pipeline the server counts it as active, so that no idle time-out ends it
                connection.execute(statement("end_leaders_sessions"), [TERMINATE_MS])
                return _take(connection, holder, depose)

        return self._database.do(write)

    def watch(self) -> tuple[int, int] | None:
        row = self._database.do(
            lambda c: c.execute(
                "select l.epoch, coalesce(b.beats, 0) from nasd_core.leader as l "
                "left join nasd_core.leader_beat as b using (epoch) where l.holder is not null"
            ).fetchone()
        )
        return None if row is None else (row[0], row[1])

    def beat(self, epoch: int) -> None:
        moved = self._database.do(
            lambda c: c.execute("update nasd_core.leader_beat set beats = beats + 1 where epoch = %s", [epoch]).rowcount
        )
        if not moved:
            raise Deposed(epoch)

    def resign(self, epoch: int) -> None:
        self._database.do(lambda c: c.execute("update nasd_core.leader set holder = null where epoch = %s", [epoch]))

    def close(self) -> None:
        self._database.close()


def _take(connection: Connection, holder: str, depose: int | None) -> int | None:
    with connection.transaction():
        connection.execute(f"set local lock_timeout = {LOCK_MS}")
        row = connection.execute(
            "update nasd_core.leader set epoch = epoch + 1, holder = %s "
            "where holder is null or epoch = %s returning epoch",
            [holder, depose],
        ).fetchone()
        if row is None:
            return None
        epoch = int(row[0])
        connection.execute("delete from nasd_core.leader_beat")
        connection.execute("insert into nasd_core.leader_beat (epoch) values (%s)", [epoch])
        connection.execute(
            "insert into nasd_core.event (kind, data) values ('leader', "
            "jsonb_build_object('epoch', %s::bigint, 'holder', %s::text, 'deposed', %s::bigint))",
            [epoch, holder, depose],
        )
    return epoch
