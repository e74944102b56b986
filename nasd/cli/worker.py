"""`nasd worker`: one worker against given services, the embedded pair, or as a device that joined."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command and, within it, `join`."""
    group = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    group.callback()(worker)
    group.command("join")(join)
    app.add_typer(group, name="worker")


def worker(  # noqa: PLR0917 - options, none of them positional
    context: typer.Context,
    device_kind: Annotated[
        str | None,
        typer.Option("--device-kind", help="The kind of device this is; default: as it was added, or local."),
    ] = None,
    study: Annotated[list[str] | None, typer.Option("--study", help="Serve only this study; may be repeated.")] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", help="Do only this: train, measure, export or run; may be repeated."),
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
    device: Annotated[
        Path | None, typer.Option("--device", metavar="FILE", help="Credentials of this device, as `join` left them.")
    ] = None,
) -> None:
    """Lease evaluations, carry them out on this machine, report. SIGTERM drains and gives the work back.

    Where from: NASD_DATABASE_URL and NASD_REDIS_URL; else the device that this machine joined as (`nasd worker join`,
    NASD_JOIN, --device); else the embedded pair of NASD_HOME. An embedded pair near this folder comes before a device.

    \b
    Examples:
        nasd worker                          any study, as device kind "local", or as the device this is
        nasd worker --study kitchen --once   what is left of one study, then leave
        nasd worker --allow my_pkg           also studies whose functions come from my_pkg
        nasd worker join TOKEN               on a new device: join, then work
    """
    if context.invoked_subcommand is not None:
        return
    from nasd.app.parent import leave_with_parent
    from nasd.app.serving import Asked, work
    from nasd.config import read_settings, with_users_code
    from nasd.domain.measurement import Stage
    from nasd.errors import UserError
    from nasd.telemetry.logs import configure

    settings = with_users_code(read_settings(), allow=allow or (), folder=folder)
    unknown = [name for name in stage or () if name not in set(Stage)]
    if unknown:
        raise UserError(f"--stage {unknown[0]}: no such stage; known: {', '.join(Stage)}")
    leave_with_parent(settings.parent)
    configure(settings.log_level)
    stages = tuple(Stage(name) for name in stage) if stage else None
    asked = Asked(kind=device_kind, stages=stages, studies=tuple(study or ()), once=once, home=home, device=device)
    raise typer.Exit(work(settings, asked))


def join(
    token: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOKEN]", help="From `nasd device add`; -: read it; default: NASD_JOIN.", show_default=False
        ),
    ] = None,
    no_start: Annotated[bool, typer.Option("--no-start", help="Join and leave; start with `nasd worker`.")] = False,
    device: Annotated[
        Path | None, typer.Option("--device", metavar="FILE", help="Where to keep the credentials.")
    ] = None,
) -> None:
    """Make this machine a device of a search, with the token that `nasd device add` printed, and begin to work.

    The token is good once. What this machine works with from then on lies in ~/.config/nasd/device.json, or in
    NASD_HOME, and `nasd worker` starts it again.

    \b
    Examples:
        nasd worker join nasd1-eNp...
        NASD_JOIN=nasd1-eNp... nasd worker join --no-start
        ssh board nasd worker join - < token
    """
    from nasd.config import read_settings
    from nasd.errors import UserError
    from workers.joining import credentials_file
    from workers.joining import join as enter

    settings = read_settings()
    text = sys.stdin.read() if token == "-" else token  # noqa: S105 - a dash
    if text is None:
        if settings.join is None:
            raise UserError("a token is needed: nasd worker join TOKEN, as `nasd device add` printed it, or NASD_JOIN")
        text = settings.join.get_secret_value()
    file = credentials_file(settings, device)
    found = enter(text, file)
    print(f"this machine is device {found.credentials.name}, a {found.kind}; its credentials are in {file}", flush=True)
    if no_start:
        return
    # Anew, because the token stands in this process's command line or environment, which others may read for as long as
    # it runs.
    environment = {name: value for name, value in os.environ.items() if name != "NASD_JOIN"}
    os.execve(sys.executable, _command(file), environment)  # noqa: S606 - replaces this process


def _command(file: Path) -> list[str]:
    return [sys.executable, "-m", "nasd", "worker", "--device", str(file)]
