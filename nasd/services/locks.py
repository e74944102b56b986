"""Advisory whole-file locks: the kernel frees them when the last copy of the descriptor closes, SIGKILL included."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def open_lock(path: Path) -> int:
    """Open a lock file, made where it is missing; the descriptor is not inherited by children."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the lock if nobody is in the way; never waits."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(fd: int) -> None:
    """Give the lock back and keep the file open. Frees it for every process that inherited this descriptor."""
    fcntl.flock(fd, fcntl.LOCK_UN)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock exclusively. Looks by a shared lock of an instant, so look rarely."""
    if not path.exists():
        return False
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not try_lock(fd, shared=True)
    finally:
        os.close(fd)


def holders(path: Path, *, shared: bool) -> tuple[int, ...]:
    """The processes that took such a lock on the file, as the kernel says; empty where it does not (not Linux)."""
    table = Path("/proc/locks")
    if not (table.exists() and path.exists()):
        return ()
    inode = path.stat().st_ino
    kind = "READ" if shared else "WRITE"
    pids = set()
    for line in table.read_text().splitlines():  # 1: FLOCK  ADVISORY  READ 1234 fe:00:5678 0 EOF
        fields = line.split()
        # the device is left out: what stands here is the disk's, stat's may be the overlay's
        if (
            len(fields) >= 6
            and (fields[1], fields[3]) == ("FLOCK", kind)
            and fields[5].rsplit(":", 1)[-1] == str(inode)
        ):
            pids.add(int(fields[4]))
    return tuple(sorted(pids))


def read_pid(path: Path) -> int | None:
    """The process id written in a lock file; None while it is empty or missing."""
    try:
        text = path.read_text().strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isdecimal() else None


def write_pid(fd: int, pid: int | None) -> None:
    """Say in the lock file who holds it; None empties it."""
    os.ftruncate(fd, 0)
    if pid is not None:
        os.pwrite(fd, str(pid).encode(), 0)
