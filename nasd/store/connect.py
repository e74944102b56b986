"""Connections: how one is opened, which errors of the driver mean what, and the statements of `sql/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from threading import Lock
from typing import TypeVar

import psycopg
from psycopg.rows import TupleRow

from nasd.errors import Deposed, NasdError, Unavailable

Connection = psycopg.Connection[TupleRow]
T = TypeVar("T")

DEPOSED = "NA002"
UNKNOWN_WORKER = "NA001"
OTHER_PROTOCOL = "NA004"
WRONG_KIND = "NA007"
JOINED_ALREADY = "NA008"  # or too late for it
_NOT_LET_IN = "is not permitted to log in"  # what libpq hands on of sqlstate 28000 is this sentence

# A session that idles in a transaction is ended by the server: a paused controller must not hold its share lock on the
# leader row for ever. Sequential scans are off because statements are prepared once: on a study that has just begun the
# planner would choose to read whole tables, and would keep that plan while they grow.
_OPTIONS = "-c idle_in_transaction_session_timeout=10s -c lock_timeout=30s -c enable_seqscan=off"


class DatabaseAway(NasdError):
    """The database can't be reached or closed the connection; nothing was changed by the last call, or all of it."""


@cache
def statement(name: str) -> str:
    """The text of `sql/NAME.sql`."""
    return files("nasd.store").joinpath("sql", f"{name}.sql").read_text()


def open_connection(url: str, *, purpose: str) -> Connection:
    """A connection in autocommit (transactions are opened where they are meant) named after its purpose.

    Raises:
        DatabaseAway: nothing answers at `url`, or it refuses.
        Unavailable: the login was taken away for good.
    """
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            application_name=f"nasd {purpose}",
            options=_OPTIONS,
            connect_timeout=10,
            keepalives_idle=15,
            keepalives_interval=5,
            keepalives_count=3,
            prepare_threshold=1,
        )
    except psycopg.Error as error:
        if _NOT_LET_IN in str(error):
            raise Unavailable(
                "the database lets this login in no longer: it was revoked. Have the device added again"
            ) from error
        raise DatabaseAway(_first_line(error)) from error


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours: away, deposed, refused. Anything else is a bug and passes."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise DatabaseAway(_first_line(error)) from error
    except psycopg.Error as error:
        if error.sqlstate == DEPOSED:
            raise Deposed(-1) from error
        if error.sqlstate in (UNKNOWN_WORKER, OTHER_PROTOCOL, WRONG_KIND):
            hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
            raise Unavailable(f"the database refused this worker: {_first_line(error)}{hint}") from error
        raise


class Reconnecting:
    """A connection that is opened on first use and anew after a loss; used by one thread at a time."""

    def __init__(self, url: str, *, purpose: str) -> None:
        self._url, self._purpose = url, purpose
        self._connection: Connection | None = None
        self._lock = Lock()

    def do(self, work: Callable[[Connection], T]) -> T:
        """What `work` makes of the connection.

        Raises:
            DatabaseAway, Deposed: the connection was given up; the next call opens another.
        """
        with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = open_connection(self._url, purpose=self._purpose)
            try:
                with translated():
                    return work(self._connection)
            except (DatabaseAway, Deposed):
                self._give_up()
                raise

    def close(self) -> None:
        with self._lock:
            self._give_up()

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
