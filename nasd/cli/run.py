"""`nasd run`: everything on one machine."""

from __future__ import annotations

from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from nasd.app.endpoints import Endpoints
    from nasd.app.fleet import Crew
    from nasd.app.fleet_file import Fleet
    from nasd.app.run import Ended
    from nasd.cli.live import Display
    from nasd.domain.study import StudySpec
    from nasd.ports.trials import Study
    from nasd.store.connect import Connection
    from nasd.store.view_rows import StudyRow

LIVE_ROWS = 10  # of the front while it runs
INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")],
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Worker processes; default: one a core.")
    ] = None,
    fleet: Annotated[
        Path | None,
        typer.Option("--fleet", metavar="FLEET.toml", help="Workers as this file says: a simulated fleet of devices."),
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", help="Instead of the file's budget.time: 90s, 30m, 4h, 1h30m.")
    ] = None,
) -> None:
    """Search on this machine: services, a controller and workers, until the budget is used.

    The embedded Postgres and Valkey are started unless NASD_DATABASE_URL and NASD_REDIS_URL are set. The same command
    again resumes exactly where it stopped, or goes on where the file's budget was raised. Ctrl-C drains within ten
    seconds; a second Ctrl-C stops now. Nothing that was finished is lost either way. Functions of your own that the
    file names are imported from the file's folder, or from here.

    \b
    Examples:
        nasd run examples/digits-mlp.toml
        nasd run kitchen.toml --workers 4 --time 30m
        nasd run examples/fleet-study.toml --fleet examples/fleet.toml
    """
    from rich.console import Console

    from nasd.app.endpoints import home_beside, is_external, prepare, resolve
    from nasd.app.fleet import check_meter
    from nasd.app.studies import open_study
    from nasd.config import read_settings
    from nasd.store.studies import PgStudies
    from nasd.studyfile import load

    settings, console = read_settings(), Console()
    spec = load(study)  # a mistake in a file is told before a service is started
    simulated = _fleet(fleet, spec, workers=workers)
    if not is_external(settings):  # given services are shared: a worker elsewhere may have a meter
        check_meter(spec, simulated)
    time_s = _seconds(time)
    home = home_beside(settings, study)
    if not is_external(settings):
        console.print(f"services: embedded Postgres and Valkey in {home}", soft_wrap=True, highlight=False)
    with resolve(settings, home) as endpoints:
        prepare(endpoints, settings)
        opened = open_study(
            study,
            PgStudies(endpoints.database["controller"]),
            time_s=time_s,
            say=lambda line: console.print(line, soft_wrap=True, highlight=False, markup=False),
        )
        with closing(_crew(simulated, opened.spec, console, workers=workers)) as crew:
            ended = _search(opened, endpoints, console, crew=crew, folder=study.resolve().parent)
        _closing(opened, endpoints, console, ended, again=f"run {study}{f' --fleet {fleet}' if fleet else ''}")
    if ended == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _fleet(path: Path | None, spec: StudySpec, *, workers: int | None) -> Fleet | None:
    """The fleet's file, checked against the study."""
    from nasd.app.fleet import usable_cores
    from nasd.app.fleet_file import Fleet
    from nasd.errors import SettingsError

    if path is None:
        return None
    if workers is not None:
        raise SettingsError("--workers and --fleet: give one of them; the fleet's file says how many workers there are")
    fleet = Fleet.read(path)
    usable = usable_cores()
    fleet.check(spec, None if usable is None else len(usable))
    return fleet


def _crew(fleet: Fleet | None, spec: StudySpec, console: Console, *, workers: int | None) -> Crew:
    """The workers to start; says what was done to those of a fleet."""
    from nasd.app.fleet import alike, crew_of, described
    from nasd.app.run import default_workers

    if fleet is None:
        return alike(spec, workers or default_workers())
    crew = crew_of(fleet, spec)
    for line in (*described(fleet, spec), *fleet.missing(spec)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    return crew


def _seconds(text: str | None) -> float | None:
    from nasd.errors import SettingsError
    from nasd.studyfile.durations import seconds_of

    if text is None:
        return None
    try:
        seconds = seconds_of(text)
    except (ValueError, TypeError) as error:
        raise SettingsError(f'--time "{text}": {error}') from error
    if seconds <= 0:
        raise SettingsError(f'--time "{text}": must be more than nothing, for example 30m')
    return seconds


def _search(study: Study, endpoints: Endpoints, console: Console, *, crew: Crew, folder: Path) -> Ended:
    import signal
    from threading import Event

    from nasd.app.family import Family
    from nasd.app.run import Stops, run
    from nasd.cli.live import Display
    from nasd.errors import Unavailable
    from nasd.store.connect import DatabaseAway

    stops = Stops(drain=Event(), now=Event())
    before = {name: signal.signal(name, lambda *_: stops.request()) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Display(console) as display:

            def on_tick(family: Family) -> None:
                # while the database is away there is nothing to see, and that is no error
                with suppress(DatabaseAway, Unavailable):
                    if display.is_due:
                        _look(study, endpoints, display, restarts=family.n_restarts)

            return run(study, endpoints, crew=crew, folder=folder, stops=stops, on_tick=on_tick)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _look(study: Study, endpoints: Endpoints, display: Display, *, restarts: int) -> None:
    from nasd.app.reading import connected
    from nasd.store import views

    with connected(endpoints, "reader") as connection:
        progress = views.progress(connection, study.name)
        if progress is not None:
            fronts = _fronts(connection, progress.study, limit=LIVE_ROWS) if display.is_live else None
            display.show(progress, fronts, restarts=restarts)


def _fronts(connection: Connection, row: StudyRow, *, limit: int | None = None) -> str:
    from nasd.cli.front import front_table, in_order
    from nasd.store import views

    baselines = views.baselines(connection, row.study) if limit is None else []
    fronts = {
        kind: in_order(views.front(connection, row.study, kind), row.objectives, kind) for kind in row.device_kinds
    }
    return "\n\n".join(front_table(row, kind, members[:limit], baselines) for kind, members in fronts.items())


def _closing(study: Study, endpoints: Endpoints, console: Console, ended: Ended, *, again: str) -> None:
    """The front, what it is worth, the SQL to read it, and where everything lies."""
    from nasd.app.reading import connected
    from nasd.app.report import COSTS, compare, sentences
    from nasd.cli.live import summary
    from nasd.store import views

    with connected(endpoints, "reader") as connection:
        progress = views.progress(connection, study.name)
        assert progress is not None
        fronts = _fronts(connection, progress.study)
        costs = [each.name for each in progress.study.objectives if each.name in COSTS]
        baselines = views.baselines(connection, study.name)
        found = {
            kind: compare(views.front(connection, study.name, kind), baselines, costs=costs, kind=kind)
            for kind in progress.study.device_kinds
        }
    lines = [
        f"study {study.name} {ended}: {progress.study.state_reason or ''}".rstrip(": "),
        summary(progress),
        "",
        fronts,
    ]
    for kind, comparison in found.items():
        where = f"on {kind}, " if len(found) > 1 else ""
        lines += ["", *_prefixed(where, sentences(comparison))] if comparison is not None else []
    query = f"select * from pareto_front where study = '{study.name}'"  # noqa: S608 - shown, not run
    lines += [
        "",
        f'read it with SQL: {_home_prefix(endpoints)}{_program()} psql -c "{query}"',
        f"everything lies in: {endpoints.home}",
    ]
    if ended == "interrupted":
        lines += [f"go on with: {_program()} {again}"]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _prefixed(where: str, lines: list[str]) -> list[str]:
    return [where + lines[0], *lines[1:]]


def _program() -> str:
    """How this program is called from here, so that a line can be copied."""
    import os
    import shutil
    import sys

    program = Path(sys.executable).parent / "nasd"
    near = os.path.relpath(program)
    return "nasd" if shutil.which("nasd") else str(program) if near.startswith("..") else near


def _home_prefix(endpoints: Endpoints) -> str:
    """What makes a command without a study file find this home from here."""
    from nasd.app.endpoints import find_home
    from nasd.config import read_settings
    from nasd.errors import UserError

    if endpoints.services is None:
        return ""
    with suppress(UserError):
        if find_home(read_settings(), Path.cwd()).resolve() == endpoints.home.resolve():
            return ""
    return f"NASD_HOME={endpoints.home} "
