"""The embedded Valkey: its users, with which settings it runs, and when it is ready.

It is a doorbell, never a record: at most a second of it can be lost when it is killed, all of it when it is flushed.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
from pathlib import Path

from nasd.services import passwords
from nasd.services.binaries import Binaries
from nasd.services.home import Account, Home, write_for_server
from nasd.services.process import Program

SOCKET_NAME = "valkey.sock"
_RULES = {
    "admin": "~* &* +@all",
    "controller": "~* &* +@all -@dangerous -@admin",
    "worker": "~rq:* &rq:* +@all -@dangerous -@admin",
}


def secret_name(role: str) -> str:
    """The name of a Valkey user's password file."""
    return f"valkey_{role}"


def devices(home: Home) -> Path:
    """Where the lines of users lie that added devices have; only hashes of their passwords are in them."""
    return home / "secrets" / "devices"


def program(home: Home, binaries: Binaries, account: Account | None) -> Program:
    """How to run it."""
    data, run_dir, users = home / "valkey", home.run_dir(), home / "etc" / "valkey-users.acl"
    password = passwords.read_or_make(home, secret_name("controller"))
    settings = {
        "port": "0",
        "unixsocket": str(run_dir / SOCKET_NAME),
        "unixsocketperm": "700",
        "dir": str(data),
        "aclfile": str(users),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
        "set-proc-title": "no",  # the command line then keeps the folder that says whose it is
        "maxmemory-policy": "noeviction",
    }

    argv = [str(binaries.valkey_server)]
    for name, value in settings.items():
        argv += [f"--{name}", value]
    return Program(
        name="valkey",
        argv=tuple(argv),
        lock=home / "valkey.lock",
        log=home.log("valkey"),
        folder=data,
        account=account,
        stop_signals=(signal.SIGTERM,),
        clear_stale=lambda: _before_start(home, users, account),
        answers=lambda _pid: is_answering(run_dir, password),
    )


def _before_start(home: Home, users: Path, account: Account | None) -> None:
    (home.run_dir() / SOCKET_NAME).unlink(missing_ok=True)
    write_for_server(users, _access_list(home), account)  # devices may have come and gone since the last start


def is_answering(run_dir: Path, password: str) -> bool:
    """Whether it takes commands: false too while it still loads its data."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(2.0)
        try:
            connection.connect(str(run_dir / SOCKET_NAME))
            connection.sendall(f"AUTH controller {password}\r\nPING\r\nQUIT\r\n".encode())
            with connection.makefile("rb") as answer:
                return b"+PONG\r\n" in answer.readlines()
        except OSError:
            return False


def _access_list(home: Home) -> str:
    lines = ["user default off"]
    for role in passwords.REDIS_ROLES:
        digest = hashlib.sha256(passwords.read_or_make(home, secret_name(role)).encode()).hexdigest()
        lines.append(f"user {role} on #{digest} {_RULES[role]}")
    lines += (path.read_text().strip() for path in sorted(devices(home).glob("*.acl")))
    return "\n".join(lines) + "\n"
