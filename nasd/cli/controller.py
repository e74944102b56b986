"""`nasd controller`: the daemon against given services."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("controller")(controller)


def controller(
    studies: Annotated[
        list[Path] | None, typer.Argument(metavar="STUDY.toml...", help="Studies to create or go on with first.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="PACKAGE", help="Run evaluation.costs from this package; may be repeated."),
    ] = None,
    folder: Annotated[Path | None, typer.Option("--folder", help="Where such packages are; default: here.")] = None,
) -> None:
    """Serve all studies of a database: propose, learn, keep the fronts current. SIGTERM drains.

    One controller leads; a second one stands by and takes over within seconds when the first is gone.
    Needs NASD_DATABASE_URL and NASD_REDIS_URL, or uses the embedded pair of NASD_HOME.

    \b
    Example:
        NASD_DATABASE_URL=postgresql://… NASD_REDIS_URL=redis://… nasd controller kitchen.toml bath.toml
    """
    import signal
    from threading import Event

    from nasd.app.endpoints import find_home, home_beside, prepare, resolve
    from nasd.app.parent import leave_with_parent
    from nasd.config import read_settings, with_users_code
    from nasd.telemetry.logs import configure

    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    settings = with_users_code(read_settings(), allow=allow or (), folder=folder, of="controller")
    leave_with_parent(settings.parent)
    configure(settings.log_level)
    from nasd.app.controller import serve

    home = home_beside(settings, studies[0]) if studies else find_home(settings, Path.cwd())
    with resolve(settings, home) as endpoints:
        # the children of `nasd run` may start while its database is being started again
        prepare(endpoints, settings, patience=None if settings.parent is None else stop)
        if studies:
            from nasd.app.studies import open_study
            from nasd.store.studies import PgStudies

            store = PgStudies(endpoints.database["controller"])
            for path in studies:
                open_study(path, store, why="served by a controller", say=print)
        serve(settings, endpoints, stop)
