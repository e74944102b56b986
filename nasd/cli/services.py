"""`nasd services`: the embedded Postgres and Valkey on their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.services import ServicesStatus

_Home = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Their home folder.", show_default="NASD_HOME, or .nasd here")
]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="The embedded Postgres and Valkey: keep them `up`, take them `down`, ask their `status`.",
    )
    group.command("up")(up)
    group.command("down")(down)
    group.command("status")(status)
    app.add_typer(group, name="services")


def up(
    home: _Home = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS[:PORT]", help="Be reached from other machines too, encrypted; remembered."),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="How other machines call this one; may be repeated."),
    ] = None,
    no_listen: Annotated[bool, typer.Option("--no-listen", help="Be reached from this machine alone again.")] = False,
) -> None:
    """Start the embedded pair and keep it, whether something uses it or not, until `nasd services down`.

    Not needed for a search: `nasd run` starts the pair itself, and the pair leaves with its last user. With --listen
    devices can join from other machines: one port, TLS with a certificate of its own, added devices alone.

    \b
    Example:
        nasd services up
        nasd services up --listen 0.0.0.0            then: nasd device add NAME --kind KIND
        nasd services up --listen 192.168.1.2:7432
        nasd services status
    """
    from nasd.app.endpoints import is_external
    from nasd.config import read_settings
    from nasd.errors import UserError
    from nasd.services import default_home, stop_listening
    from nasd.services import up as keep

    settings = read_settings()
    if home is None and is_external(settings):
        raise UserError(
            "NASD_DATABASE_URL and NASD_REDIS_URL are set, so nothing embedded is used: unset them or give --home"
        )
    place = home or settings.home or default_home(Path.cwd())
    if no_listen:
        if listen is not None:
            raise UserError("--listen and --no-listen contradict each other: give one of them")
        stop_listening(place)
    found = keep(place, role_prefix=settings.role_prefix, listen=listen, names=tuple(name or ()))
    print(f"Postgres and Valkey run in {place} and stay until `nasd services down`")
    if found is not None:
        print(f"other machines reach them at {found.names[0]}, port {found.port}: nasd device add NAME --kind KIND")


def down(
    home: _Home = None,
    force: Annotated[bool, typer.Option("--force", help="Also where something uses them.")] = False,
) -> None:
    """End the embedded pair; refused while something uses it, unless forced. Loses no row.

    \b
    Example:
        nasd services down
        nasd services down --home /srv/search/.nasd --force
    """
    from nasd.services import down as end

    place = _existing(home)
    was_running = end(place, force=force)
    print(f"{'ended' if was_running else 'nothing ran'} in {place}")


def status(
    home: _Home = None, json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False
) -> None:
    """Say whether the embedded pair runs, as which processes, for whom, and how much it holds. Starts nothing.

    \b
    Example:
        nasd services status
        nasd services status --json | jq .postgres_pid
    """
    from nasd.services import status as examine

    found = examine(_existing(home))
    if json:
        print(layout.printable(_json(found)))
    else:
        print(_text(found))


def _existing(home: Path | None) -> Path:
    """The home that is meant, or a UserError that says how to name one."""
    from nasd.app.endpoints import find_home
    from nasd.config import read_settings

    return home if home is not None else find_home(read_settings(), Path.cwd())


def _json(found: ServicesStatus) -> dict[str, object]:
    return dataclasses.asdict(found) | {"home": str(found.home), "logs": [str(log) for log in found.logs]}


def _text(found: ServicesStatus) -> str:
    state = "runs" if found.is_ready else "starts" if found.is_running else "does not run"
    kept = ", kept until `nasd services down`" if found.is_kept else ""
    clients = ", ".join(map(str, found.client_pids)) or "none"
    return "\n".join(
        (
            f"the pair in {found.home} {state}{kept}",
            f"postgres  {found.postgres_version}, {_pid(found.postgres_pid)}, {found.postgres_bytes / 2**20:.1f} MiB",
            f"valkey    {found.valkey_version}, {_pid(found.valkey_pid)}, {found.valkey_bytes / 2**20:.1f} MiB",
            f"owner     {_pid(found.owner_pid)}",
            *((f"tls       {found.listening}, {_pid(found.terminator_pid)}",) if found.listening else ()),
            f"clients   {clients if found.is_running else 'none'}",
            *(f"log       {log}" for log in found.logs),
        )
    )


def _pid(pid: int | None) -> str:
    return "not running" if pid is None else f"pid {pid}"
