"""The embedded Postgres: how its data folder is made, with which settings it runs, and when it is ready."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from nasd.errors import Unavailable
from nasd.services import passwords
from nasd.services.binaries import POSTGRES_MAJOR, Binaries
from nasd.services.home import SOCKET_NAME, Account, Home, make_server_folder, write_for_server
from nasd.services.process import Program, command_of, launch

DATABASE = "nasd"
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_SMALL_SHM_BYTES = 256 * 2**20
_SETTINGS = {
    "listen_addresses": "",  # unix sockets only
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",  # the default's 1 GB would be most of a small study's disk use
    "jit": "off",  # for long analytic queries; it only delays ours
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "autovacuum_naptime": "10s",  # a fast study leaves thousands of dead index entries a minute
}


def initialise(home: Home, binaries: Binaries, account: Account | None) -> None:
    """Make the data folder with the superuser's password and the empty database; whole or not at all.

    Raises:
        Unavailable: it was made by another major version, or initdb failed.
    """
    data, unfinished = home / "postgres", home / "postgres.new"
    if data.exists():
        found = (data / "PG_VERSION").read_text().strip()
        if found != POSTGRES_MAJOR:
            raise Unavailable(
                f"the data in {data} was made by PostgreSQL {found} and this nasd brings {POSTGRES_MAJOR}:"
                " use the nasd that made it, or dump and restore"
            )
        return
    if unfinished.exists():  # killed in the middle of what follows
        shutil.rmtree(unfinished)
    make_server_folder(unfinished, account)
    password_file = home / "etc" / "initdb-password"
    write_for_server(password_file, passwords.read_or_make(home, passwords.SUPERUSER) + "\n", account)
    try:
        _run(home, account, [*_initdb(binaries), "-D", str(unfinished), f"--pwfile={password_file}"])
    finally:
        password_file.unlink()
    single = ["--single", "-D", str(unfinished), "-c", "exit_on_error=on", "-c", "log_checkpoints=off", "postgres"]
    _run(home, account, [str(binaries.postgres), *single], typed=f"CREATE DATABASE {DATABASE}\n")
    unfinished.rename(data)
    _sync_folder(home.path)


def program(home: Home, binaries: Binaries, account: Account | None) -> Program:
    """How to run it."""
    data, run_dir, hba = home / "postgres", home.run_dir(), home / "etc" / "pg_hba.conf"
    write_for_server(hba, "local all all scram-sha-256\n", account)
    settings = {**_SETTINGS, **_sync_method(), "hba_file": str(hba), "unix_socket_directories": _quoted(run_dir)}
    if _is_shm_small():
        settings["dynamic_shared_memory_type"] = "mmap"
    argv = [str(binaries.postgres), "-D", str(data)]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    return Program(
        name="postgres",
        argv=tuple(argv),
        lock=home / "postgres.lock",
        log=home.log("postgres"),
        folder=data,
        account=account,
        stop_signals=(signal.SIGINT, signal.SIGQUIT),  # fast shutdown, then immediate
        clear_stale=lambda: _clear_stale(data, run_dir),
        answers=lambda pid: _is_ready(data, pid) and is_accepting(run_dir),
    )


def is_accepting(run_dir: Path) -> bool:
    """Whether a postmaster answers on the socket: it says 'N' when asked for TLS, before any log-in."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(2.0)
        try:
            connection.connect(str(run_dir / SOCKET_NAME))
            connection.sendall(_SSL_REQUEST)
            return connection.recv(1) == b"N"
        except OSError:
            return False


def _initdb(binaries: Binaries) -> list[str]:
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]  # the same on every platform
    sync = [f"--sync-method={method}" for method in _sync_method().values()]
    identity = ["-U", passwords.SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8"]
    return [str(binaries.initdb), "--no-instructions", *identity, *locale, *sync]


def _sync_method() -> dict[str, str]:
    """Make the whole file system durable at once where one file at a time would take seconds (a thousand files)."""
    return {"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}


def _run(home: Home, account: Account | None, argv: list[str], *, typed: str = "") -> None:
    """Run a preparing program to its end, its output going to the log."""
    log_path = home.log("postgres")
    with log_path.open("ab") as log:
        child = launch(
            argv,
            account=account,
            death_signal=signal.SIGKILL,
            log=log,
            cwd=home / "postgres.new",
            stdin=subprocess.PIPE,
        )
        child.communicate(typed.encode())
    if child.returncode != 0:
        raise Unavailable(f"{Path(argv[0]).name} failed with code {child.returncode}: see {log_path}")


def _is_ready(data: Path, pid: int) -> bool:
    lines = _pid_file(data)
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, UnicodeDecodeError):
        return []


def _clear_stale(data: Path, run_dir: Path) -> None:
    """Remove pid files of a killed postmaster: their pid may be anybody's by now, and Postgres would believe it.

    None of ours lives when this is called. What remains is a server that somebody started by hand.
    """
    lines = _pid_file(data)
    pid = int(lines[0]) if lines and lines[0].strip().isdecimal() else None
    if pid is not None and "postgres" in (command := command_of(pid)) and f"{data} " in f"{command} ":
        raise Unavailable(f"a Postgres that nasd did not start (pid {pid}) uses {data}: stop it first")
    for stale in (data / "postmaster.pid", run_dir / f"{SOCKET_NAME}.lock", run_dir / SOCKET_NAME):
        stale.unlink(missing_ok=True)


def _is_shm_small() -> bool:
    """Containers give /dev/shm 64 MB by default, which parallel queries overrun."""
    if sys.platform != "linux":
        return False
    try:
        found = os.statvfs("/dev/shm")  # noqa: S108 (only its size is read)
    except OSError:
        return True
    return found.f_frsize * found.f_blocks < _SMALL_SHM_BYTES


def _quoted(path: Path) -> str:
    return '"' + str(path).replace('"', '""') + '"'  # a list: commas would part it


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
