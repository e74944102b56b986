"""`nasd device`: single devices, each with a login of its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.store.devices import DeviceRow, OtherRow

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The device's name.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Devices that join from other machines: `add`, `list`, `show`, `drain`, `revoke` (kinds: `nasd devices`).",
    )
    for command in (add, list_, show, drain, revoke):
        group.command(command.__name__.rstrip("_"))(command)
    app.add_typer(group, name="device")


def add(
    name: _Name,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="Its class: what a study calls it, such as pi5.")],
    address: Annotated[
        str | None, typer.Option("--address", metavar="HOST", help="How it reaches this machine; default: as arranged.")
    ] = None,
    valid: Annotated[str, typer.Option("--valid", metavar="TIME", help="How long the token is good.")] = "24h",
    json: _Json = False,
) -> None:
    """Give a device a login of its own and print the one command that makes it join.

    The command holds a secret that is good once. The same again, while it has not joined, makes the last token void.

    \b
    Example:
        nasd services up --listen 0.0.0.0
        nasd device add pi5-kitchen --kind pi5
        nasd device add orin --kind orin --address search.example.org --valid 2h
    """
    from nasd.app import devices
    from nasd.config import read_settings
    from nasd.errors import UserError
    from nasd.studyfile.durations import seconds_of

    try:
        valid_s = seconds_of(valid)
    except ValueError as error:
        raise UserError(f"--valid {valid}: {error}") from error
    found = devices.add(read_settings(), name, kind, address=address, valid_s=valid_s)
    command = f"nasd worker join {found.token}"
    until = layout.moment(found.expires_at)
    if json:
        print(layout.printable(asdict(found) | {"command": command}))
        return
    print(f"On the device ({found.name}, a {found.kind}), once, until {until}:\n\n{command}\n")
    print(f"It connects to {found.address} by itself; nothing on the device needs to be reachable.")
    for note in found.notes:
        print(f"note: {note}")


def list_(
    every: Annotated[bool, typer.Option("--all", help="Also those that were revoked.")] = False, json: _Json = False
) -> None:
    """List devices: what each is, whether it lives, and why not.

    \b
    Example:
        nasd device list
        nasd device list --all --json
    """
    from nasd.app import devices
    from nasd.config import read_settings

    with devices.devices(read_settings()) as (known, _):
        rows, others = known.all(revoked=every), known.others()
    if json:
        print(
            layout.printable({"devices": [_fields(row) for row in rows], "shared_login": [asdict(o) for o in others]})
        )
        return
    if rows:
        print(layout.table(("DEVICE", "KIND", "STATE", "SEEN", "MACHINE", "WHY"), map(_line, rows)))
    else:
        print("no device was added yet: nasd device add NAME --kind KIND")
    if others:
        print(
            "\nwith the shared login:\n"
            + layout.table(("HOST", "KIND", "STATE", "SEEN", "MACHINE"), map(_other, others))
        )


def show(name: _Name, json: _Json = False) -> None:
    """Show all that is known of a device: state, machine, runtimes, work done.

    \b
    Example:
        nasd device show pi5-kitchen
    """
    from nasd.app import devices
    from nasd.config import read_settings

    row = devices.show(read_settings(), name)
    print(layout.printable(_fields(row)) if json else _text(row))


def drain(name: _Name, undo: Annotated[bool, typer.Option("--undo", help="Give it work again.")] = False) -> None:
    """Let a device finish what it has and give it nothing more. It stays connected.

    \b
    Example:
        nasd device drain pi5-kitchen
        nasd device drain pi5-kitchen --undo
    """
    from nasd.app import devices
    from nasd.config import read_settings

    row = devices.drain(read_settings(), name, undo=undo)
    if undo:
        print(f"{name} takes work again")
    else:
        print(f"{name} finishes {layout.count(row.n_running, 'evaluation')} and takes nothing more")


def revoke(name: _Name) -> None:
    """Shut a device out at once, open sessions included. Its work goes to others; its measurements stay.

    \b
    Example:
        nasd device revoke pi5-kitchen
        nasd device add pi5-kitchen --kind pi5      lets it join anew
    """
    from nasd.app import devices
    from nasd.config import read_settings

    row = devices.revoke(read_settings(), name)
    kept = f"; kept: {layout.count(row.n_measurements, 'measurement')}" if row.n_measurements else ""
    print(f"{name} is revoked: it can neither read nor write any more{kept}")


def standing(row: DeviceRow) -> tuple[str, str]:
    """A device's state in a word, and why, with the remedy."""
    if row.is_revoked:
        return "revoked", layout.moment(row.revoked_at)
    if row.joined_at is None or row.is_joining:
        return _before(row)
    if row.is_draining:
        holds = f"finishes {layout.count(row.n_running, 'evaluation')}" if row.n_running else "has finished"
        return "draining", f"{holds}; to go on: nasd device drain {row.name} --undo"
    if row.n_live:
        return "live", layout.count(row.n_live, "worker") + (f", {row.n_running} running" if row.n_running else "")
    if row.last_seen_at is None:
        return "joined", "no worker came yet: start `nasd worker` there"
    return "silent", "no worker beats: is it on, and does `nasd worker` run there?"


def _before(row: DeviceRow) -> tuple[str, str]:
    """The same of one that has not joined."""
    if row.is_joining:
        return "joining", "it did not say that it kept its credentials: let it join again with the same token"
    if row.is_expired:
        return "expired", f"its token was never used: nasd device add {row.name} --kind {row.device_kind}"
    return "awaited", f"its token is good until {layout.moment(row.expires_at)}"


def _line(row: DeviceRow) -> tuple[str, ...]:
    state, why = standing(row)
    return row.name, row.device_kind, state, _seen(row.silent_s), _machine(row.host, row.facts), why


def _other(row: OtherRow) -> tuple[str, ...]:
    return (
        row.host,
        row.device_kind,
        "live" if row.is_live else "silent",
        _seen(row.silent_s),
        _machine(None, row.facts),
    )


def _seen(silent_s: float | None) -> str:
    return "-" if silent_s is None else f"{layout.duration(max(0.0, silent_s))} ago"


def _machine(host: str | None, facts: dict[str, object] | None) -> str:
    words = [host, (facts or {}).get("cpu")]
    return ", ".join(str(word) for word in words if word) or "-"


def _fields(row: DeviceRow) -> dict[str, object]:
    state, why = standing(row)
    return asdict(row) | {"state": state, "why": why}


def _text(row: DeviceRow) -> str:
    state, why = standing(row)
    lines = [
        ("device", f"{row.name}, a {row.device_kind}"),
        ("state", f"{state}: {why}"),
        ("login", row.role),
        ("added", layout.moment(row.created_at)),
        ("joined", layout.moment(row.joined_at)),
        ("seen", f"{layout.moment(row.last_seen_at)} ({_seen(row.silent_s)})" if row.last_seen_at else "-"),
        ("host", row.host or "-"),
        ("stages", ", ".join(row.stages or ()) or "-"),
        ("offers", ", ".join(row.offers or ()) or "-"),
        ("running", str(row.n_running)),
        ("measured", str(row.n_measurements)),
        *(
            (name, value if isinstance(value, str) else layout.compact(value))
            for name, value in (row.facts or {}).items()
        ),
    ]
    return "\n".join(f"{name:<16}  {value}" for name, value in lines)
