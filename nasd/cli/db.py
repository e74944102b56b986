"""`nasd db`: the database's schema and its address."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer


class DatabaseRole(StrEnum):
    """Whose rights the connection has."""

    READER = "reader"
    CONTROLLER = "controller"


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="The database: `upgrade` its schema, print its `url`, look after its `artifacts`.",
    )
    group.command("upgrade")(upgrade)
    group.command("url")(url)
    group.command("artifacts")(artifacts)
    app.add_typer(group, name="db")


def upgrade() -> None:
    """Bring the configured or embedded database to this version's schema; does nothing where it is there already.

    Runs under a lock, so that several processes may call it. A given database (NASD_DATABASE_URL) needs a user that may
    create schemas and roles, or the three roles made beforehand by a DBA.

    \b
    Example:
        nasd db upgrade
        NASD_DATABASE_URL=postgresql://owner@db/nasd NASD_REDIS_URL=redis://queue nasd db upgrade
    """
    import psycopg

    from nasd.app.reading import endpoints, first_line
    from nasd.config import read_settings
    from nasd.errors import Unavailable
    from nasd.store import migrate

    settings = read_settings()
    with endpoints(settings, None) as found:
        try:
            before, after = migrate.upgrade(found.database["admin"], role_prefix=settings.role_prefix)
            if found.services is not None:
                migrate.set_passwords(found.database["admin"], found.services.role_passwords())
        except psycopg.Error as error:
            raise Unavailable(f"the database can't be upgraded: {first_line(error)}") from error
    print(f"the schema is at {after}" + ("" if before == after else f", it was at {before or 'none'}"))


def url(
    role: Annotated[DatabaseRole, typer.Option(help="Whose rights: a reader sees the views alone.")] = (
        DatabaseRole.READER
    ),
) -> None:
    """Print the connection string of the configured or embedded database. It holds a password.

    The embedded database runs only while something uses it: keep it with `nasd services up`.

    \b
    Example:
        nasd services up
        DATABASE_URL=$(nasd db url) jupyter lab
        nasd psql                    a SQL prompt, without the password on any command line
    """
    from nasd.app.endpoints import prepare
    from nasd.app.reading import endpoints
    from nasd.config import read_settings

    settings = read_settings()
    with endpoints(settings, None) as found:
        if found.services is not None:
            prepare(found, settings)  # a home that is new has no login yet that the string could be for
        print(found.database[role])
    print("note: this holds a password; keep it out of logs and command lines", file=sys.stderr)
    if found.services is not None:
        print("note: the embedded database runs only while it is used; `nasd services up` keeps it", file=sys.stderr)
    elif role is not DatabaseRole.READER:
        print("note: NASD_DATABASE_URL is used as it is, whatever the role", file=sys.stderr)


def artifacts(
    evict: Annotated[
        bool, typer.Option("--evict", help="Remove, oldest first, what no front and no evaluation needs.")
    ] = False,
    down_to: Annotated[int, typer.Option("--down-to", metavar="MIB", min=0, help="How much may stay.")] = 0,
) -> None:
    """Say how much room exported networks and weights take, and remove what is not needed.

    What is on a front now, or an evaluation waits for, always stays, and so does what was stored within the last hour.

    \b
    Example:
        nasd db artifacts
        nasd db artifacts --evict --down-to 1024
    """
    from nasd.app.artifacts import room, tidy
    from nasd.app.reading import connected, endpoints
    from nasd.config import read_settings
    from nasd.ports.clock import SystemClock

    settings = read_settings()
    with endpoints(settings, None) as found, connected(found, "controller") as connection:
        if evict:
            gone = tidy(settings, found.home, connection, now=SystemClock().now(), down_to_bytes=down_to << 20)
            print(f"removed {len(gone)} artifacts, {sum(one.n_bytes for one in gone) / 2**20:.1f} MiB")
        seen = room(settings, found.home, connection)
    print(
        f"{seen.n} artifacts, {seen.n_bytes / 2**20:.1f} of {settings.artifacts_quota_mib} MiB; "
        f"{seen.n_needed} of them are needed, {seen.needed_bytes / 2**20:.1f} MiB"
    )
