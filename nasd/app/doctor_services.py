"""The doctor's checks of Postgres and Redis: reachable, new enough, migrated, clocks together."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nasd.app.doctor import Finding, Verdict
from nasd.config import Settings

if TYPE_CHECKING:
    from nasd.store.connect import Connection

_OLDEST_POSTGRES = 14
_OLDEST_REDIS = (6, 2)
_SKEW_S = 2.0  # people compare times of the database with those of a log; nothing else depends on them
_PATIENCE_S = 5


def services_findings(settings: Settings, home: Path) -> Iterator[Finding]:
    """Which pair is used, and whether an embedded one could start."""
    given = [settings.database_url is not None, settings.redis_url is not None]
    if all(given):
        yield Finding("services", Verdict.OK, "given by NASD_DATABASE_URL and NASD_REDIS_URL; nothing embedded starts")
        return
    if any(given):
        one, other = ("NASD_DATABASE_URL", "NASD_REDIS_URL") if given[0] else ("NASD_REDIS_URL", "NASD_DATABASE_URL")
        remedy = f"Set {other} too, or unset {one} to use the embedded pair"
        yield Finding("services", Verdict.PROBLEM, f"{one} is set and {other} is not", remedy)
        return
    from nasd.services import status

    found = status(home)
    yield from _account_findings()
    state = "running" if found.is_ready else "starting" if found.is_running else "not running; `nasd run` starts it"
    versions = f"Postgres {found.postgres_version}, Valkey {found.valkey_version}"
    yield Finding("services", Verdict.OK, f"embedded in {home}: {versions}, {state}")


def _account_findings() -> Iterator[Finding]:
    """Postgres's initdb refuses a user that the system has no name for, as in `docker run --user 12345`."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        found = f"user id {os.geteuid()} has no name on this system, and the embedded Postgres needs one"
        remedy = "Run as a user of /etc/passwd, or set NASD_DATABASE_URL and NASD_REDIS_URL"
        yield Finding("account", Verdict.PROBLEM, found, remedy)


def database_findings(settings: Settings, home: Path) -> Iterator[Finding]:
    """The database that is given or runs: version, schema, clock. Nothing where the embedded one does not run."""
    import psycopg

    with _database_url(settings, home) as url:
        if url is None:
            return
        try:
            connection = psycopg.connect(
                url, autocommit=True, connect_timeout=_PATIENCE_S, application_name="nasd doctor"
            )
        except psycopg.Error as error:
            remedy = "Start it, or correct NASD_DATABASE_URL (postgresql://USER:PASSWORD@HOST:PORT/NAME)"
            is_malformed = isinstance(
                error, psycopg.ProgrammingError
            )  # whose text would show the URL, password and all
            found = "NASD_DATABASE_URL is no connection string" if is_malformed else _first_line(error)
            yield Finding("database", Verdict.PROBLEM, f"can't be reached: {found}", remedy)
            return
        with connection:
            yield _version_finding(connection.info.server_version)
            yield _schema_finding(connection)
            yield _clock_finding(connection)


def redis_findings(settings: Settings, home: Path) -> Iterator[Finding]:
    """The Redis that is given or runs: reachable and new enough."""
    import redis

    with _redis_url(settings, home) as url:
        if url is None:
            return
        remedy = "Start it, or correct NASD_REDIS_URL (redis://USER:PASSWORD@HOST:PORT/0)"
        try:
            client = redis.from_url(url, socket_timeout=_PATIENCE_S, socket_connect_timeout=_PATIENCE_S)
            client.ping()
            server = client.info("server")
        except redis.exceptions.NoPermissionError:
            yield Finding("redis", Verdict.OK, "answers; this login may not ask for its version")
        except (redis.RedisError, ValueError, OSError) as error:
            yield Finding("redis", Verdict.PROBLEM, f"can't be reached: {_first_line(error)}", remedy)
        else:
            yield _redis_finding(server)


def _version_finding(number: int) -> Finding:
    major = number // 10000
    found = f"Postgres {major}.{number % 10000} answers"
    if major < _OLDEST_POSTGRES:
        return Finding("database", Verdict.PROBLEM, found, f"nasd needs Postgres {_OLDEST_POSTGRES} or newer")
    return Finding("database", Verdict.OK, found)


def _schema_finding(connection: Connection) -> Finding:
    import psycopg

    from nasd.store import migrate

    try:
        at, newest = migrate.current(connection), migrate.known()[-1]
    except psycopg.errors.InsufficientPrivilege as error:
        remedy = "Give NASD_DATABASE_URL the login of the nasd controller"
        return Finding("migrations", Verdict.WARNING, f"can't be read: {_first_line(error)}", remedy)
    if at == newest:
        return Finding("migrations", Verdict.OK, f"schema {at}, the newest")
    if at is None:
        return Finding("migrations", Verdict.WARNING, "no nasd schema in this database yet", "nasd db upgrade")
    if at in migrate.known():
        return Finding("migrations", Verdict.PROBLEM, f"schema {at}; this nasd needs {newest}", "nasd db upgrade")
    remedy = "Install the nasd that made it, or point NASD_DATABASE_URL at another database"
    return Finding("migrations", Verdict.PROBLEM, f"schema {at} is newer than this nasd knows ({newest})", remedy)


def _clock_finding(connection: Connection) -> Finding:
    before = datetime.now(UTC)
    row = connection.execute("select clock_timestamp()").fetchone()
    after = datetime.now(UTC)
    assert row is not None
    skew_s = (row[0] - (before + (after - before) / 2)).total_seconds()
    found = f"the database's clock is {abs(skew_s):.3f} s {'ahead of' if skew_s > 0 else 'behind'} this machine's"
    if abs(skew_s) > _SKEW_S:
        return Finding("clocks", Verdict.WARNING, found, "Let NTP set both; leases don't depend on it, times shown do")
    return Finding("clocks", Verdict.OK, found)


def _redis_finding(server: Mapping[str, object]) -> Finding:
    version = str(server.get("redis_version", ""))  # Valkey gives here the Redis that it can stand in for
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    found = f"Valkey {server['valkey_version']} answers" if "valkey_version" in server else f"Redis {version} answers"
    if numbers and numbers < _OLDEST_REDIS:
        return Finding("redis", Verdict.PROBLEM, found, "nasd needs Redis 6.2 or newer, or Valkey")
    return Finding("redis", Verdict.OK, found)


@contextmanager
def _database_url(settings: Settings, home: Path) -> Iterator[str | None]:
    if settings.database_url is not None:
        yield settings.database_url
    elif settings.redis_url is not None or not _is_running(home):
        yield None
    else:
        from nasd.services import attach

        with attach(home, role_prefix=settings.role_prefix) as services:
            yield services.database_url("admin")


@contextmanager
def _redis_url(settings: Settings, home: Path) -> Iterator[str | None]:
    if settings.redis_url is not None:
        yield settings.redis_url
    elif settings.database_url is not None or not _is_running(home):
        yield None
    else:
        from nasd.services import attach

        with attach(home, role_prefix=settings.role_prefix) as services:
            yield services.redis_url("admin")


def _is_running(home: Path) -> bool:
    from nasd.services import status

    return status(home).is_ready


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
