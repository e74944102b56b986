"""PgDevices: devices with logins of their own, on the controller's side, through functions of the schema."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from nasd.errors import Unavailable, UserError
from nasd.store.connect import JOINED_ALREADY, Connection, open_connection, translated

_SESSIONS_LIMIT_S = 10.0
_DEVICE: LiteralString = """
    select l.name, l.device_kind, l.role, l.is_revoked, l.is_draining, l.created_at, l.expires_at, l.joined_at,
           l.revoked_at, l.redis_password is not null and l.joined_at is not null as is_joining,
           l.expires_at <= clock_timestamp() as is_expired,
           coalesce(w.n_live, 0) as n_live, w.last_seen_at,
           extract(epoch from clock_timestamp() - w.last_seen_at)::double precision as silent_s,
           w.host, w.facts, w.stages, w.offers, coalesce(e.n_running, 0) as n_running,
           coalesce(m.n_measurements, 0) as n_measurements
    from nasd_core.login as l
    left join lateral (
        select max(last_seen_at) as last_seen_at,
               count(*) filter (where state = 'live' and last_seen_at > clock_timestamp() - interval '30 seconds')
                   as n_live,
               (array_agg(host order by id desc))[1] as host, (array_agg(facts order by id desc))[1] as facts,
               (array_agg(to_jsonb(stages) order by id desc))[1] as stages,
               (array_agg(to_jsonb(offers) order by id desc))[1] as offers
        from nasd_core.worker where login = l.role
    ) as w on true
    left join lateral (
        select count(*) as n_running from nasd_core.lease join nasd_core.worker as k on k.id = worker_id
        where k.login = l.role
    ) as e on true
    left join lateral (
        select count(*) as n_measurements from nasd_core.measurement as x
        where x.worker_id in (select id from nasd_core.worker where login = l.role)
    ) as m on true"""
_OTHERS: LiteralString = """
    select distinct on (host, device_kind) host, device_kind, facts, last_seen_at,
           extract(epoch from clock_timestamp() - last_seen_at)::double precision as silent_s,
           state = 'live' and last_seen_at > clock_timestamp() - interval '30 seconds' as is_live
    from nasd_core.worker where not exists (select from nasd_core.login where role = worker.login)
    order by host, device_kind, last_seen_at desc"""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """An added device as the database knows it.

    Attributes:
        is_joining: it has taken its credentials and not yet confirmed that it holds them.
        n_live: workers of it that beat in the last half minute.
        host, facts, stages, offers: what its last worker said of itself; None: none came yet.
    """

    name: str
    device_kind: str
    role: str
    is_revoked: bool
    is_draining: bool
    created_at: datetime
    expires_at: datetime
    joined_at: datetime | None
    revoked_at: datetime | None
    is_joining: bool
    is_expired: bool
    n_live: int
    last_seen_at: datetime | None
    silent_s: float | None
    host: str | None
    facts: dict[str, Any] | None
    stages: list[str] | None
    offers: list[str] | None
    n_running: int
    n_measurements: int


@dataclass(frozen=True, slots=True)
class OtherRow:
    """A machine whose workers came with the shared login."""

    host: str
    device_kind: str
    facts: dict[str, Any]
    last_seen_at: datetime
    silent_s: float
    is_live: bool


class PgDevices:
    """Opens a connection for each call: commands are rare and short."""

    def __init__(self, controller_url: str) -> None:
        self._url = controller_url

    def add(self, name: str, kind: str, *, secret: str, redis_password: str, valid_s: float) -> tuple[str, datetime]:
        """Make a login that joins with `secret`; an earlier one that never joined is replaced.

        Returns:
            Its role, and when the secret ends.

        Raises:
            UserError: a device of that name has joined.
            Unavailable: the database's owner may not make roles.
        """
        with self._connected() as connection:
            verifier = connection.pgconn.encrypt_password(secret.encode(), b"", b"scram-sha-256").decode()
            try:
                row = connection.execute(
                    "select login_role, ends_at from nasd_core.add_login(%s, %s, %s, %s, %s)",
                    [name, kind, verifier, redis_password, valid_s],
                ).fetchone()
            except psycopg.errors.InsufficientPrivilege as error:
                raise Unavailable(
                    "the owner of nasd's schema may not make logins for devices: let a DBA run `alter role OWNER"
                    f" createrole` once ({error.diag.message_primary})"
                ) from error
            except psycopg.Error as error:
                if error.sqlstate != JOINED_ALREADY:
                    raise
                raise UserError(
                    f"device {name} has joined already: choose another name, or `nasd device revoke {name}` first"
                ) from error
        assert row is not None
        return str(row[0]), row[1]

    def all(self, *, revoked: bool = True) -> list[DeviceRow]:
        """By name, the ones in use first."""
        return self._rows("where not l.is_revoked or %s order by l.is_revoked, l.name, l.id desc", revoked)

    def find(self, name: str) -> DeviceRow | None:
        """The one in use, else the one that was revoked last."""
        rows = self._rows("where l.name = %s order by l.is_revoked, l.id desc limit 1", name)
        return rows[0] if rows else None

    def others(self) -> list[OtherRow]:
        """Machines that were never added; as each was seen last."""
        with self._connected() as connection, connection.cursor(row_factory=class_row(OtherRow)) as cursor:
            return cursor.execute(_OTHERS).fetchall()

    def revoke(self, name: str) -> str | None:
        """Shut it out, end its sessions, give its work to others. Its role; None where no such device is in use."""
        with self._connected() as connection:
            row = connection.execute("select nasd_core.revoke_login(%s)", [name]).fetchone()
            role = None if row is None else row[0]
            if role is not None:
                _end_sessions(connection, str(role))
                _requeue(connection, str(role))
        return role

    def drain(self, name: str, *, undo: bool = False) -> bool:
        """Give it no more work, or work again; False where no such device is in use."""
        with self._connected() as connection:
            row = connection.execute("select nasd_core.drain_login(%s, %s)", [name, not undo]).fetchone()
        return bool(row and row[0])

    def artifact_digests(self) -> Collection[str]:
        """SHA-256 of the tokens that devices show the artifacts endpoint."""
        with self._connected() as connection:
            found = connection.execute(
                "select artifacts_digest from nasd_core.login where artifacts_digest is not null"
            )
            return {str(row[0]) for row in found}

    def _rows(self, rest: LiteralString, argument: object) -> list[DeviceRow]:
        with self._connected() as connection, connection.cursor(row_factory=class_row(DeviceRow)) as cursor:
            return cursor.execute(f"{_DEVICE} {rest}", [argument]).fetchall()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with open_connection(self._url, purpose="devices") as connection, translated():
            yield connection


def _end_sessions(connection: Connection, role: str) -> None:
    """Until none is left: one may have been let in just before the login was taken away."""
    deadline = time.monotonic() + _SESSIONS_LIMIT_S
    while True:
        row = connection.execute("select nasd_core.end_sessions(%s)", [role]).fetchone()
        if row is None or not row[0]:
            return
        if time.monotonic() > deadline:
            raise Unavailable(f"the sessions of {role} don't end; they may do nothing any more. See pg_stat_activity")
        time.sleep(0.05)


def _requeue(connection: Connection, role: str) -> None:
    """What it held goes to others and spends no attempt; each in a transaction of its own, as the reaper does it."""
    held = connection.execute(
        "select evaluation_id, token, renewals from nasd_core.lease join nasd_core.worker as w on w.id = worker_id "
        "where w.login = %s order by evaluation_id",
        [role],
    ).fetchall()
    for evaluation, token, renewals in held:
        connection.execute("select nasd_core.expire_lease(%s, %s, %s, false, 0)", [evaluation, token, renewals])
