"""Bringing a database to this version: Alembic revisions under an advisory lock, and what version it is at."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

import migrations
from nasd.errors import Unavailable

_FOLDER = Path(migrations.__file__).parent
_LOCK = zlib.crc32(b"nasd migrations")  # of pg_advisory_lock


def head() -> str:
    """The newest revision this program knows."""
    from alembic.script import ScriptDirectory

    revision = ScriptDirectory(os.fspath(_FOLDER)).get_current_head()
    assert revision is not None
    return revision


def known() -> tuple[str, ...]:
    """All revisions this program knows, oldest first, without importing Alembic (their files carry the number)."""
    names = (entry.name for entry in (_FOLDER / "versions").iterdir())
    return tuple(sorted(name.split("_")[0] for name in names if name[:4].isdigit()))


def current(connection: psycopg.Connection[tuple[object, ...]]) -> str | None:
    """The database's revision; None where nothing of ours is in it."""
    row = connection.execute("select to_regclass('nasd_core.alembic_version') is not null").fetchone()
    if row is None or not row[0]:
        return None
    version = connection.execute("select version_num from nasd_core.alembic_version").fetchone()
    return None if version is None else str(version[0])


def check(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Refuse a database whose schema is not this program's.

    Raises:
        Unavailable: it is older (run `nasd db upgrade`) or newer (install a newer nasd).
    """
    require(current(connection))


def require(at: str | None) -> None:
    """The same of a revision that was read already (None: nothing of ours is there)."""
    newest = known()[-1]
    if at == newest:
        return
    if at is None or at in known():
        raise Unavailable(
            f"the database is at schema {at or 'none'} and this nasd needs {newest}: run `nasd db upgrade`"
        )
    raise Unavailable(
        f"the database is at schema {at}, newer than this nasd knows ({newest}): install the nasd that made it, "
        "or point NASD_DATABASE_URL at another database"
    )


def upgrade(url: str, *, role_prefix: str) -> tuple[str | None, str]:
    """Run what is missing; safe to call from several processes at once. The revisions before and after.

    Raises:
        Unavailable: the database is newer than this program, or `url` may not create what is needed.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    with psycopg.connect(url) as plain:
        before = current(plain)
        if before is not None and before not in known():
            check(plain)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": _LOCK})
            connection.execute(text("create schema if not exists nasd_core"))
            connection.commit()
            config = Config()
            config.set_main_option("script_location", os.fspath(_FOLDER))
            config.attributes["connection"] = connection
            config.attributes["role_prefix"] = role_prefix
            command.upgrade(config, "head")
            connection.commit()
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()
    except DBAPIError as error:
        raise Unavailable(f"the database could not be upgraded: {str(error.orig).splitlines()[0]}") from error
    finally:
        engine.dispose()
    return before, known()[-1]


def set_passwords(url: str, passwords: Mapping[str, str]) -> None:
    """Let the roles log in that have no password yet: role name to password. `url` needs a superuser.

    Cheap where all have one, so that it can follow every start: whoever migrated may have been killed before this. The
    server gets salted hashes alone, so that no log of a failing statement shows a password.
    """
    missing = "select rolname from pg_authid where rolname = any(%s) and rolpassword is null"
    with psycopg.connect(url) as connection:
        if not connection.execute(missing, [list(passwords)]).fetchone():
            return
        connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])  # roles can't be altered by two at once
        roles = [str(role) for (role,) in connection.execute(missing, [list(passwords)])]
        for role, password in ((role, passwords[role]) for role in roles):
            secret = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            connection.execute(
                sql.SQL("alter role {} login password {}").format(sql.Identifier(role), sql.Literal(secret))
            )
