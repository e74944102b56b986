"""What a command that reads or operates needs first: which database is meant, which study, and a connection to it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from nasd.app.endpoints import Endpoints, Role, find_home, home_beside, is_external, resolve
from nasd.config import Settings
from nasd.errors import StudyFileError, Unavailable, UserError
from nasd.store import views
from nasd.store.connect import Connection, DatabaseAway, open_connection, translated
from nasd.store.view_rows import StudyRow


@dataclass(frozen=True, slots=True)
class StudyArgument:
    """A study as named on a command line: by its name, or by its file."""

    name: str
    file: Path | None = None

    @classmethod
    def parse(cls, text: str) -> StudyArgument:
        """A text that ends in `.toml` is a file, whose `name` key or stem is the study's name.

        Raises:
            StudyFileError: there is no such file, or it is not TOML.
        """
        if not text.endswith(".toml"):
            return cls(text)
        path = Path(text)
        try:
            name = tomllib.loads(path.read_text(encoding="utf-8")).get("name", path.stem)
        except OSError as error:
            raise StudyFileError(f"can't be read: {error.strerror}", file=text) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise StudyFileError(f"is not TOML: {error}. Or give the study's name", file=text) from error
        return cls(str(name), path)


@contextmanager
def endpoints(settings: Settings, where: Path | None) -> Iterator[Endpoints]:
    """The database of a study file (None: the nearest home); the embedded pair is started where a home exists.

    Raises:
        UserError, Unavailable: there is no home, or its pair can't start; see `find_home` and `resolve`.
    """
    with resolve(settings, existing_home(settings, where)) as found:
        yield found


def existing_home(settings: Settings, where: Path | None) -> Path:
    """The home that is meant. Where the two URLs are set it may not exist: nothing of it is needed.

    Raises:
        UserError: a study was never run there.
    """
    if is_external(settings):
        return settings.home or (where or Path()).resolve().parent
    home = find_home(settings, Path.cwd()) if where is None else home_beside(settings, where)
    if not (home / "secrets").exists():
        start = f"`nasd run {where}`" if where is not None else "`nasd run STUDY.toml`"
        raise UserError(f"nothing has been run in home {home}: start with {start}, or set NASD_HOME or the two URLs")
    return home


@contextmanager
def connected(found: Endpoints, role: Role) -> Iterator[Connection]:
    """A connection in autocommit as that role, `nasd` first on its search_path; a reader's can't write.

    Raises:
        Unavailable: the database can't be reached, refuses the role, or has another schema.
    """
    try:
        with open_connection(found.database[role], purpose=f"command as {role}") as connection, translated():
            connection.execute("set search_path = nasd, public")
            if role == "reader":
                connection.execute("set default_transaction_read_only = on")
            views.require_schema(connection)
            yield connection
    except DatabaseAway as error:
        if found.services is not None:
            remedy = f"if its schema was never made, run `nasd db upgrade`; its log: {found.home / 'logs'}"
            raise Unavailable(f"the embedded database of {found.home} refuses: {error} ({remedy})") from error
        raise Unavailable(f"NASD_DATABASE_URL: the database can't be reached: {error}") from error


@contextmanager
def reader(settings: Settings, where: Path | None) -> Iterator[Connection]:
    """A connection as the role `reader` to the database that `where` (a study file; None: the nearest home) means."""
    with endpoints(settings, where) as found, connected(found, "reader") as connection:
        yield connection


@contextmanager
def study_reader(settings: Settings, argument: str) -> Iterator[tuple[Connection, StudyRow]]:
    """The same, with the study that a command's argument names.

    Raises:
        UserError: there is no such study; the message names those there are.
    """
    study = StudyArgument.parse(argument)
    with reader(settings, study.file) as connection:
        yield connection, known_study(connection, study.name)


def known_study(connection: Connection, name: str) -> StudyRow:
    """The study of that name, or a UserError that names the known ones."""
    found = views.study(connection, name)
    if found is None:
        known = ", ".join(views.study_names(connection)) or "none yet"
        raise UserError(f'there is no study "{name}"; known: {known}')
    return found


def known_trial(connection: Connection, study: StudyRow, number: int) -> views.Row:
    """The trial of that number, or a UserError that says which there are."""
    found = views.trial(connection, study.study, number)
    if found is None:
        known = f"its trials are 0 to {study.n_stored - 1}" if study.n_stored else "it has no trials yet"
        raise UserError(f'study "{study.study}" has no trial {number}; {known}')
    return found


def first_line(error: psycopg.Error) -> str:
    """The driver's own words, without its position marks."""
    return error.diag.message_primary or (str(error).strip().splitlines() or [type(error).__name__])[0]
