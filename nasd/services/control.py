"""`nasd services up, down, status`: keep the pair without a client, end it, and say how it is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from nasd.errors import Unavailable
from nasd.services import listening
from nasd.services.binaries import Binaries, locate
from nasd.services.client import attach
from nasd.services.doorkeeper import is_listening
from nasd.services.home import Home, require_own
from nasd.services.listening import Listening
from nasd.services.locks import holders, is_locked, open_lock, read_pid, try_lock
from nasd.services.process import command_of
from nasd.services.state import Phase, read_state

_DOWN_LIMIT_S = 40.0  # the owner itself insists with SIGKILL before that
_LISTEN_LIMIT_S = 20.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ServicesStatus:
    """How the pair of one home is. Process ids are None where it does not run."""

    home: Path
    is_running: bool
    is_ready: bool
    is_kept: bool  # stays without clients until `down`
    owner_pid: int | None
    postgres_pid: int | None
    valkey_pid: int | None
    client_pids: tuple[int, ...]  # who keeps it; always empty where the kernel does not tell (not Linux)
    postgres_version: str
    valkey_version: str
    terminator_pid: int | None
    listening: str | None  # HOST:PORT for other machines
    postgres_bytes: int  # on disk
    valkey_bytes: int
    logs: tuple[Path, ...]


def up(
    home: Path, *, role_prefix: str = "nasd", listen: str | None = None, names: tuple[str, ...] = ()
) -> Listening | None:
    """Start the pair and let it stay, clients or not, until `down` (or the machine) ends it.

    Args:
        home: its folder.
        role_prefix: of the database's roles.
        listen: be reached from other machines too, at `ADDRESS[:PORT]`; this is remembered.
        names: how other machines shall call this one.

    Returns:
        Where it can be reached; None: on this machine alone.

    Raises:
        UserError, Unavailable: as `attach`; nothing can listen there.
    """
    with attach(home, role_prefix=role_prefix) as services:
        place = Home(services.home)
        if listen is not None:
            _listen(place, listening.arranged(listen, names, listening.read(place)))
        (place / "keep").touch(mode=0o600)
        return listening.read(place)


def be_called(home: Path, name: str) -> None:
    """Let other machines call this one by a further name; its certificate is renewed.

    Raises:
        Unavailable: it can't be reached by any.
    """
    place = Home.at(home)
    arranged = listening.read(place)
    if arranged is None:
        raise Unavailable(f"the pair of {place.path} is reached from this machine alone")
    _listen(place, replace(arranged, names=(*arranged.names, name)))


def stop_listening(home: Path) -> None:
    """Be reached from this machine alone again; open connections of others end."""
    listening.write(Home.at(home), None)


def down(home: Path, *, force: bool = False) -> bool:
    """End the pair; False where it did not run. Returns when both servers have ended.

    Args:
        home: its folder.
        force: also where somebody uses it; their connections break.

    Raises:
        Unavailable: somebody uses it (named), or it did not end.
    """
    place = Home.at(home)
    require_own(place.path)
    if not place.path.is_dir():
        return False
    clients_fd = open_lock(place / "clients.lock")
    try:
        if not force:
            _lock_clients_out(place, clients_fd)
        (place / "keep").unlink(missing_ok=True)
        was_running = _end_owner(place)
        _end_orphans(place)
    finally:
        os.close(clients_fd)
    return was_running


def status(home: Path) -> ServicesStatus:
    """How the pair of a home is; starts nothing.

    Raises:
        Unavailable: the home is another user's.
    """
    place = Home.at(home)
    require_own(place.path)
    is_running = is_locked(place / "owner.lock")
    state = read_state(place) if is_running else None
    binaries, arranged = locate(), listening.read(place)
    return ServicesStatus(
        home=place.path,
        is_running=is_running,
        is_ready=state is not None and state.phase is Phase.READY,
        is_kept=(place / "keep").exists(),
        owner_pid=read_pid(place / "owner.lock") if is_running else None,
        postgres_pid=state.postgres_pid if state else None,
        valkey_pid=state.valkey_pid if state else None,
        terminator_pid=state.terminator_pid if state else None,
        listening=None if arranged is None else f"{arranged.host}:{arranged.port}",
        client_pids=holders(place / "clients.lock", shared=True),
        **_versions(binaries),
        postgres_bytes=_size(place / "postgres"),
        valkey_bytes=_size(place / "valkey"),
        logs=(
            place.services_log,
            *(place.log(name) for name in ("postgres", "valkey", *(("tls",) if arranged else ()))),
        ),
    )


def _listen(place: Home, arranged: Listening) -> None:
    """Arrange it and wait until the owner has brought it about."""
    try:
        from nasd.services import certificates
    except ImportError as error:
        raise Unavailable(
            "listening for other machines needs the package cryptography: pip install nasd[embedded]"
        ) from error
    certificates.issue(place, arranged.names)
    listening.write(place, arranged)
    deadline = time.monotonic() + _LISTEN_LIMIT_S
    while (state := read_state(place)) is None or state.terminator_pid is None or not is_listening(arranged):
        if time.monotonic() > deadline:
            raise Unavailable(f"nothing listens on {arranged.host}, port {arranged.port}: see {place.log('tls')}")
        time.sleep(_POLL_S)


def _end_owner(place: Home) -> bool:
    """Ask the owner to leave, again and again until its lock is free."""
    deadline = time.monotonic() + _DOWN_LIMIT_S
    was_running = False
    while is_locked(place / "owner.lock"):
        pid = read_pid(place / "owner.lock")
        if not was_running or pid is None:  # no pid: the owner is being started and has not said who it is
            was_running = pid is not None
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        if time.monotonic() > deadline:
            raise Unavailable(f"the services' owner (pid {pid}) does not end; see {place.services_log}")
        time.sleep(_POLL_S)
    return was_running


def _end_orphans(place: Home) -> None:
    """Wait for servers whose owner was killed; where the system did not end them with it (not Linux), ask them."""
    deadline = time.monotonic() + _DOWN_LIMIT_S
    for name in ("tls", "postgres", "valkey"):
        lock, asked = place / f"{name}.lock", False
        while is_locked(lock):
            pid = read_pid(lock)
            if not asked and pid is not None and str(place / name if name != "tls" else place.path) in command_of(pid):
                asked = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)  # Postgres: fast shutdown; the others: as SIGTERM
            if time.monotonic() > deadline:
                raise Unavailable(f"{name} (pid {pid}) does not end; see {place.log(name)}")
            time.sleep(_POLL_S)


def _lock_clients_out(place: Home, clients_fd: int) -> None:
    """Take the clients' lock, so that nobody begins to use what is about to leave; raise Unavailable where one does."""
    deadline = time.monotonic() + _DOWN_LIMIT_S
    while not try_lock(clients_fd):
        pids = holders(place / "clients.lock", shared=True)
        if pids or sys.platform != "linux" or time.monotonic() > deadline:
            users = ", ".join(f"pid {pid} ({command_of(pid)[:60] or 'ended'})" for pid in pids) or "another process"
            raise Unavailable(f"the services of {place.path} are used by {users}: end that first, or use --force")
        time.sleep(_POLL_S)  # only the owner holds it, which is leaving by itself


def _versions(binaries: Binaries) -> dict[str, str]:
    def first_line(program: Path) -> str:
        return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]

    postgres = first_line(binaries.postgres).split()  # postgres (PostgreSQL) 18.6
    valkey = first_line(binaries.valkey_server).split()  # Valkey server v=9.1.2 sha=...
    return {"postgres_version": postgres[2], "valkey_version": valkey[2].removeprefix("v=")}


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # servers remove files all the time
                total += (Path(parent) / name).lstat().st_size
    return total
