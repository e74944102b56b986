"""Passwords of the embedded pair: random, one per file, 0600, made once and never shown on a command line."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nasd.errors import Unavailable
from nasd.services.home import Home

SUPERUSER = "postgres"
DATABASE_ROLES = ("controller", "worker", "reader")
REDIS_ROLES = ("admin", "controller", "worker")


def read_or_make(home: Home, name: str) -> str:
    """The password of that name, made where it is missing. Two processes that make it at once get the same one."""
    path = home / "secrets" / name
    if not path.exists():
        _make(path)
    return read(home, name)


def read(home: Home, name: str) -> str:
    """The password of that name.

    Raises:
        Unavailable: the file is missing; without it the data can't be opened.
    """
    path = home / "secrets" / name
    try:
        return path.read_text().strip()
    except FileNotFoundError as error:
        raise Unavailable(
            f"password file {path} is missing: put it back, or move the folder {home.path} away and begin anew"
        ) from error


def _make(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(temporary)  # fails where another process was first, whose password then counts
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
