"""Which artifacts trials have, and which of them are needed: what exports and evictions ask the database."""

from __future__ import annotations

from collections.abc import Collection

from nasd.domain.artifact import WEIGHTS, ArtifactRef
from nasd.store.connect import Connection


def weights_of(connection: Connection, study: str, trial: int) -> ArtifactRef | None:
    """The trained weights of a trial; None where they were not kept."""
    row = connection.execute(
        "select a.format, a.sha256, a.n_bytes from nasd_core.artifact as a "
        "join nasd_core.trial as t on t.id = a.trial_id join nasd_core.study as s on s.id = t.study_id "
        "where s.name = %s and t.number = %s and a.format = %s",
        [study, trial, WEIGHTS],
    ).fetchone()
    return None if row is None else ArtifactRef(*row)


def keep(connection: Connection, study: str, trial: int, ref: ArtifactRef) -> None:
    """Record that a trial has this artifact; it is in the store already."""
    connection.execute(
        "insert into nasd_core.artifact (study_id, trial_id, format, sha256, n_bytes) "
        "select s.id, t.id, %s, %s, %s from nasd_core.trial as t join nasd_core.study as s on s.id = t.study_id "
        "where s.name = %s and t.number = %s "
        "on conflict (trial_id, format) do update set sha256 = excluded.sha256, n_bytes = excluded.n_bytes, "
        "at = clock_timestamp()",
        [ref.format, ref.sha256, ref.n_bytes, study, trial],
    )


_NEEDED = """
    from nasd_core.artifact as a
    where exists (select from nasd_core.front_member as f where f.trial_id = a.trial_id and f.left_seq is null)
       or exists (select from nasd_core.evaluation as e
                  where e.trial_id = a.trial_id and e.state in ('queued', 'running'))"""


def needed(connection: Connection) -> frozenset[str]:
    """Hashes of the artifacts of trials that are on a front now, or that an evaluation waits for or works with."""
    return frozenset(row[0] for row in connection.execute(f"select distinct a.sha256 {_NEEDED}"))


def forget(connection: Connection, sha256: Collection[str]) -> frozenset[str]:
    """Remove the rows that name these artifacts, unless they are needed by now: those that no row names any more.

    To be called before the files are deleted: a row without a file would fail whoever leases it, a file without a row
    is only lost room.
    """
    with connection.transaction():
        connection.execute("lock table nasd_core.artifact in share row exclusive mode")  # no new row meanwhile
        kept = frozenset(
            row[0]
            for row in connection.execute(
                f"select distinct a.sha256 {_NEEDED} intersect select unnest(%s::text[])",
                [list(sha256)],
            )
        )
        gone = frozenset(sha256) - kept
        connection.execute("delete from nasd_core.artifact where sha256 = any (%s)", [list(gone)])
    return gone
