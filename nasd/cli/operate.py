"""`nasd pause, resume, stop, delete`: what an operator does to a study."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.store.connect import Connection
    from nasd.store.studies import PgStudies
    from nasd.store.view_rows import StudyRow

_Study = Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")]


def register(app: typer.Typer) -> None:
    """Add the four commands; of them only the one that was asked for is used."""
    for name, command in (("pause", pause), ("resume", resume), ("stop", stop), ("delete", delete)):
        if all(known.name != name for known in app.registered_commands):
            app.command(name)(command)


def pause(study: _Study) -> None:
    """Propose no new trials; what is running goes on and is learned from. `nasd resume` undoes it.

    \b
    Example:
        nasd pause kitchen
    """
    with _operated(study) as (studies, _, row):
        studies.pause(row.study)
    in_flight = row.n_running + row.n_queued
    print(f"{row.study} is paused; {layout.count(in_flight, 'trial')} in flight will still finish")


def resume(study: _Study) -> None:
    """Let a paused or stopped study go on where it stood.

    \b
    Example:
        nasd resume kitchen
    """
    from nasd.store import views

    with _operated(study) as (studies, connection, row):
        studies.resume(row.study)
        n_controllers = views.n_controllers(connection)
    print(f"{row.study} is running")
    if not n_controllers:
        print("no controller runs: `nasd run` its study file, or start `nasd controller`", file=sys.stderr)


def stop(study: _Study) -> None:
    """End a study now: running and queued trials are cancelled and not charged. Its results and front stay.

    \b
    Example:
        nasd stop kitchen
        nasd resume kitchen          takes it up again
    """
    with _operated(study) as (studies, _, row):
        studies.stop(row.study)
    print(f"{row.study} is stopped; {layout.count(row.n_running + row.n_queued, 'trial')} in flight cancelled")


def delete(
    study: _Study, yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask; for scripts.")] = False
) -> None:
    """Remove a study and everything known of it, for good. Refused while its trials run: `nasd stop` it first.

    \b
    Example:
        nasd delete kitchen
        nasd stop kitchen && nasd delete kitchen --yes
    """
    from nasd.errors import UserError
    from nasd.store import views

    with _operated(study) as (studies, connection, row):
        n_open = views.n_open_leases(connection, row.study)
        if n_open and row.state != "stopped":
            running = layout.count(n_open, "evaluation")
            raise UserError(f'study "{row.study}" has {running} running: end them first with `nasd stop {row.study}`')
        what = f"study {row.study} with {layout.count(row.n_stored, 'trial')}"
        if not yes and not _confirmed(what):
            raise UserError(f"{what} was not deleted")
        studies.delete(row.study)
    print(f"{what} is deleted")


@contextmanager
def _operated(argument: str) -> Iterator[tuple[PgStudies, Connection, StudyRow]]:
    from nasd.app.reading import StudyArgument, connected, endpoints, known_study
    from nasd.config import read_settings
    from nasd.store.studies import PgStudies

    study = StudyArgument.parse(argument)
    with endpoints(read_settings(), study.file) as found, connected(found, "controller") as connection:
        yield PgStudies(found.database["controller"]), connection, known_study(connection, study.name)


def _confirmed(what: str) -> bool:
    if not sys.stdin.isatty():
        from nasd.errors import UserError

        raise UserError(f"{what} would be deleted for good: say so with --yes")
    return typer.confirm(f"Delete {what} for good?")
