"""`nasd worker`: one worker against given services."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker")(worker)


def worker(  # noqa: PLR0917 - options, none of them positional
    device_kind: Annotated[str, typer.Option("--device-kind", help="The kind of device this is.")] = "local",
    study: Annotated[list[str] | None, typer.Option("--study", help="Serve only this study; may be repeated.")] = None,
    stage: Annotated[
        list[str] | None, typer.Option("--stage", help="Do only this: train, measure or run; may be repeated.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="PACKAGE", help="Run users' functions from this package; may be repeated."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where users' packages and files are; default: here.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Leave as soon as nothing is left to do.")] = False,
    home: Annotated[Path | None, typer.Option("--home", help="Home of the embedded pair; default: NASD_HOME.")] = None,
) -> None:
    """Lease evaluations, carry them out on this machine, report. SIGTERM drains and gives the work back.

    Needs NASD_DATABASE_URL and NASD_REDIS_URL, or uses the embedded pair of NASD_HOME.

    \b
    Examples:
        nasd worker                          any study, as device kind "local"
        nasd worker --study kitchen --once   what is left of one study, then leave
        nasd worker --allow my_pkg           also studies whose functions come from my_pkg
    """
    from nasd.app.endpoints import find_home, resolve
    from nasd.app.parent import leave_with_parent
    from nasd.config import read_settings, with_users_code
    from nasd.domain.ids import DeviceKind
    from nasd.domain.measurement import Stage
    from nasd.errors import UserError
    from nasd.store.leases import PgLeaseStore
    from nasd.telemetry.logs import configure
    from workers.devices import worker_info
    from workers.serving import serve

    settings = with_users_code(read_settings(), allow=allow or (), folder=folder)
    unknown = [name for name in stage or () if name not in set(Stage)]
    if unknown:
        raise UserError(f"--stage {unknown[0]}: no such stage; known: {', '.join(Stage)}")
    leave_with_parent(settings.parent)
    configure(settings.log_level)
    place = home or find_home(settings, Path.cwd())
    stages = tuple(Stage(name) for name in stage) if stage else None
    info = worker_info(
        DeviceKind(device_kind), stages=stages, studies=tuple(study or ()), packages=settings.worker.allow
    )
    with resolve(settings, place) as endpoints:
        store = PgLeaseStore(
            endpoints.database["worker"], duration_s=settings.lease.duration_s, backoff_s=settings.lease.backoff_s
        )
        settings = settings.model_copy(update={"home": place})
        code = serve(store, endpoints.redis["worker"], info, settings, once=once)
        store.close()
    raise typer.Exit(code)
