"""Reading the public views: what the commands and a progress display ask, as rows. Nothing else is read here.

Every function takes a connection whose user may read schema `nasd` (the role `reader` may nothing else).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import psycopg
from psycopg.rows import class_row, dict_row

from nasd.errors import Unavailable
from nasd.store import migrate
from nasd.store.connect import Connection
from nasd.store.view_rows import DeviceProgress, FrontScore, Pace, Progress, StudyRow, WorkerRow

Row = dict[str, object]

_STUDY: LiteralString = """
    select study, state, stall, state_reason, strategy, strategy_version, seed, trials_budget, time_budget_s,
           n_trials, n_charged, n_completed, n_running, n_queued, n_failed, n_infeasible, n_pruned, n_cancelled,
           used_s, learned_seq, spec, created_at, started_at, finished_at
    from nasd.studies"""
_TRIAL: LiteralString = """
    select study, trial, state, architecture, architecture_key, fidelity, operator, baseline, parents,
           val_error, val_loss, params, flops, latency_ms, peak_memory_bytes, energy_mj, objectives, violation,
           reason, message, seed, recipe, on_front,
           proposed_from, learned_seq, strategy, strategy_version, created_at, started_at, finished_at
    from nasd.trials"""
_PACE_OF = 50  # trials: enough to be steady, few enough to follow a change of workers


def require_schema(connection: Connection) -> None:
    """Refuse a database whose schema is not this program's; unlike `migrate.check` any role may ask.

    Raises:
        Unavailable: it is older, newer, or this user may not read the views.
    """
    try:
        row = connection.execute("select version from nasd.schema_version").fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        row = None
    except psycopg.errors.InsufficientPrivilege as error:
        user = connection.info.user
        raise Unavailable(f'database user "{user}" may not read the views: grant it the role nasd_reader') from error
    migrate.require(None if row is None else str(row[0]))


def study_names(connection: Connection) -> list[str]:
    """All studies, oldest first."""
    return [str(row[0]) for row in connection.execute("select study from nasd.studies order by created_at, study")]


def studies(connection: Connection) -> list[StudyRow]:
    """All studies, oldest first."""
    with connection.cursor(row_factory=class_row(StudyRow)) as cursor:
        return cursor.execute(f"{_STUDY} order by created_at, study").fetchall()


def study(connection: Connection, name: str) -> StudyRow | None:
    """One study by name."""
    with connection.cursor(row_factory=class_row(StudyRow)) as cursor:
        return cursor.execute(f"{_STUDY} where study = %s", [name]).fetchone()


def progress(connection: Connection, name: str) -> Progress | None:
    """A study, its fronts, its workers and its pace; None where there is no such study."""
    found = study(connection, name)
    if found is None:
        return None
    return Progress(
        study=found,
        fronts=tuple(front_scores(connection, name)),
        devices=tuple(device_progress(connection, name)),
        workers=tuple(worker for worker in workers(connection) if worker.serves(name) and worker.state != "left"),
        pace=pace(connection, name),
        n_controllers=n_controllers(connection),
    )


def front_scores(connection: Connection, name: str) -> list[FrontScore]:
    """Size and hypervolume of each device kind's front now; a kind whose front was never entered is absent."""
    query: LiteralString = """
        select distinct on (device_kind) device_kind, hypervolume, front_size, learned_seq, at
        from nasd.hypervolume_history where study = %s order by device_kind, learned_seq desc"""
    with connection.cursor(row_factory=class_row(FrontScore)) as cursor:
        return cursor.execute(query, [name]).fetchall()


def device_progress(connection: Connection, name: str) -> list[DeviceProgress]:
    """How far measuring is on each device kind; a kind that nothing was planned for is absent."""
    query: LiteralString = """
        select device_kind, count(*) filter (where state = 'completed') as n_measured,
               count(*) filter (where state = 'running') as n_running,
               count(*) filter (where state = 'queued') as n_queued,
               count(*) filter (where state in ('infeasible', 'failed')) as n_without
        from nasd.evaluations where study = %s and stage = 'measure' and round = 1 and replicate = 0
        group by device_kind order by device_kind"""
    with connection.cursor(row_factory=class_row(DeviceProgress)) as cursor:
        return cursor.execute(query, [name]).fetchall()


def pace(connection: Connection, name: str) -> Pace:
    """How quickly the last finished trials came, whatever they came to."""
    query: LiteralString = """
        select count(*) as n,
               coalesce(extract(epoch from max(finished_at) - min(finished_at)), 0)::double precision as seconds
        from (select finished_at from nasd.trials
              where study = %s and state in ('completed', 'infeasible', 'pruned')
              order by finished_at desc limit %s) as latest"""
    with connection.cursor(row_factory=class_row(Pace)) as cursor:
        found = cursor.execute(query, [name, _PACE_OF]).fetchone()
    assert found is not None
    return found


def workers(connection: Connection) -> list[WorkerRow]:
    """All workers that ever registered, oldest first."""
    query: LiteralString = """
        select worker_id, worker, host, device_kind, state, stages, studies, attempts, busy_s, paused_s, idle_s,
               registered_at, last_seen_at, offers, memory_mib
        from nasd.workers order by worker_id"""
    with connection.cursor(row_factory=class_row(WorkerRow)) as cursor:
        return cursor.execute(query).fetchall()


def n_controllers(connection: Connection) -> int:
    """How many controllers are connected to this database, the standby ones too."""
    query: LiteralString = """
        select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'nasd controller leadership'"""
    row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])


def front(connection: Connection, name: str, device_kind: str) -> list[Row]:
    """The members of one front, in order of trial."""
    query: LiteralString = """
        select study, device_kind, trial, val_error, val_loss, params, flops, latency_ms, peak_memory_bytes, energy_mj,
               objectives, architecture, architecture_key, baseline, fidelity, seed, recipe, entered_at
        from nasd.pareto_front where study = %s and device_kind = %s order by trial"""
    return _rows(connection, query, [name, device_kind])


def device_trials(connection: Connection, name: str) -> list[Row]:
    """Each trial on each device kind of the study, what is known of it there, in order of trial and kind."""
    query: LiteralString = """
        select device_kind, trial, state, measured, val_error, val_loss, params, flops, latency_ms, latency_spread,
               latency_n, latency_p95_ms, peak_memory_bytes, energy_mj, on_front, baseline, objectives
        from nasd.device_trials where study = %s order by trial, device_kind"""
    return _rows(connection, query, [name])


def unsteady(connection: Connection, name: str, device_kind: str) -> dict[int, str]:
    """Trials whose last latency on a kind was marked unsteady -> why."""
    query: LiteralString = """
        select distinct on (trial) trial, conditions ->> 'unsteady' as why
        from nasd.measurements
        where study = %s and device_kind = %s and name = 'latency_ms' and status = 'current'
        order by trial, measurement desc"""
    return {
        int(str(row["trial"])): str(row["why"]) for row in _rows(connection, query, [name, device_kind]) if row["why"]
    }


def artifacts(connection: Connection, name: str, number: int) -> list[Row]:
    """The files that a trial has."""
    query: LiteralString = """
        select format, sha256, n_bytes, at from nasd.artifacts where study = %s and trial = %s order by format"""
    return _rows(connection, query, [name, number])


def baselines(connection: Connection, name: str) -> list[Row]:
    """The hand-made trials, in order of trial."""
    query: LiteralString = """
        select baseline, trial, state, architecture, objectives, reason
        from nasd.baselines where study = %s order by trial"""
    return _rows(connection, query, [name])


def trials(connection: Connection, name: str, *, state: str | None = None, limit: int | None = None) -> list[Row]:
    """The newest `limit` trials (None: all), in order of trial."""
    query: LiteralString = (
        f"{_TRIAL} where study = %s and (%s::text is null or state = %s) order by trial desc limit %s"
    )
    return _rows(connection, query, [name, state, state, limit])[::-1]


def trial(connection: Connection, name: str, number: int) -> Row | None:
    """One trial."""
    found = _rows(connection, f"{_TRIAL} where study = %s and trial = %s", [name, number])
    return found[0] if found else None


def evaluations(connection: Connection, name: str, number: int) -> list[Row]:
    """The evaluations of a trial, in the order in which they were queued."""
    query: LiteralString = """
        select evaluation, stage, device_kind, replicate, round, state, attempt, max_attempts, worker, progress, reason,
               message, queued_at, started_at, finished_at, wall_s, is_required, priority, needs, needs_memory_mib,
               awaits
        from nasd.evaluations where study = %s and trial = %s order by evaluation"""
    return _rows(connection, query, [name, number])


def attempts(connection: Connection, name: str, number: int) -> list[Row]:
    """Every attempt at a trial's evaluations, in the order in which they were leased."""
    query: LiteralString = """
        select evaluation, stage, attempt, worker, leased_at, ended_at, ended_how, reason, message, log, seconds
        from nasd.attempts where study = %s and trial = %s order by leased_at, evaluation, attempt"""
    return _rows(connection, query, [name, number])


def measurements(connection: Connection, name: str, number: int) -> list[Row]:
    """Everything that was measured of a trial, superseded rows too, in order of arrival."""
    query: LiteralString = """
        select measurement, evaluation, attempt, stage, device_kind, worker, name, value, unit, spread, n, conditions,
               status, measured_at
        from nasd.measurements where study = %s and trial = %s order by measurement"""
    return _rows(connection, query, [name, number])


def events(connection: Connection, name: str, number: int) -> list[Row]:
    """What happened to a trial, in order."""
    query: LiteralString = """
        select event, at, evaluation, attempt, kind, data
        from nasd.events where study = %s and trial = %s order by event"""
    return _rows(connection, query, [name, number])


def memberships(connection: Connection, name: str, number: int) -> list[Row]:
    """When a trial entered and left which front."""
    query: LiteralString = """
        select device_kind, entered_seq, entered_at, left_seq, left_at, left_because
        from nasd.front_history where study = %s and trial = %s order by entered_seq, device_kind"""
    return _rows(connection, query, [name, number])


def n_open_leases(connection: Connection, name: str) -> int:
    """Evaluations of a study that a worker holds now."""
    query: LiteralString = "select count(*) from nasd.evaluations where study = %s and state = 'running'"
    row = connection.execute(query, [name]).fetchone()
    return 0 if row is None else int(row[0])


def _rows(connection: Connection, query: LiteralString, arguments: Sequence[object]) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return list(cursor.execute(query, arguments).fetchall())
