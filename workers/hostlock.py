"""HostLock: on one machine one worker measures, and while it does nobody trains.

Two locked files. A measurer takes `gate` first, which says that it wants to measure and keeps other measurers out,
then `floor`, which every trainer shares while it trains. At each step boundary a trainer looks at the gate (about 2 us)
and, where it is taken, leaves the floor until it is free again. The kernel frees both when a process dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nasd.errors import WorldFault

DEFAULT_DIRECTORY = Path("/tmp")  # noqa: S108 - shared by all users of the host on purpose; opened without following links
_POLL_S = 0.002
_MEASURER_POLL_S = 0.0005  # everybody stands still while it waits; nothing is being timed yet
_LIMIT_S = 120.0


class HostLock:
    """One process's hold on the two files. Not shared between threads.

    Attributes:
        directory: that the files are in.
    """

    def __init__(self, directory: Path = DEFAULT_DIRECTORY) -> None:
        """Open both files, in the system's folder for temporary files where `directory` can't be used."""
        if not os.access(directory, os.W_OK | os.X_OK):
            directory = Path(tempfile.gettempdir())
        self.directory = directory
        self._gate = _open(directory / "nasd-measure-gate.lock")
        self._floor = _open(directory / "nasd-measure-floor.lock")
        self._is_sharing = False

    def is_wanted(self) -> bool:
        """Whether a measurer of another process measures or waits to."""
        try:
            fcntl.flock(self._gate, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        return False

    def boundary(self, waiting: Callable[[], None], *, share: bool) -> float:
        """A trainer's call at a step boundary.

        Args:
            waiting: called while waiting for a measurer; may raise to give up.
            share: keep measurers out until the next boundary.

        Returns:
            Seconds waited; 0.0 when nobody measures.
        """
        if not self.is_wanted():
            if share and not self._is_sharing:
                return self._enter(waiting)
            return 0.0
        self.leave()
        began = time.perf_counter()
        while self.is_wanted():
            waiting()
            time.sleep(_POLL_S)
        if share:
            self._enter(waiting)
        return time.perf_counter() - began

    def leave(self) -> None:
        """Let measurers in; no effect where this process does not train."""
        if self._is_sharing:
            fcntl.flock(self._floor, fcntl.LOCK_UN)
            self._is_sharing = False

    @contextlib.contextmanager
    def exclusive(self, waiting: Callable[[], None]) -> Iterator[float]:
        """Measure alone on this host; yields the seconds waited for it. Entered for each window of a measurement.

        Args:
            waiting: called once at least, so that between two windows orders are obeyed.

        Raises:
            WorldFault: a trainer reached no step boundary for two minutes.
        """
        self.leave()
        waiting()
        began = time.perf_counter()
        try:
            self._wait(self._gate, fcntl.LOCK_EX, waiting, began, poll_s=_MEASURER_POLL_S)
            self._wait(self._floor, fcntl.LOCK_EX, waiting, began, poll_s=_MEASURER_POLL_S)
            yield time.perf_counter() - began
        finally:
            fcntl.flock(self._floor, fcntl.LOCK_UN)
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._gate)
        os.close(self._floor)

    def _enter(self, waiting: Callable[[], None]) -> float:
        began = time.perf_counter()
        self._wait(self._floor, fcntl.LOCK_SH, waiting, began)
        self._is_sharing = True
        return time.perf_counter() - began

    def _wait(
        self, descriptor: int, kind: int, waiting: Callable[[], None], began: float, *, poll_s: float = _POLL_S
    ) -> None:
        while True:
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            waiting()
            if time.perf_counter() - began > _LIMIT_S:
                raise WorldFault("measuring_lock", f"waited {_LIMIT_S:.0f} s for this host's measuring lock; try again")
            time.sleep(poll_s)


def _open(path: Path) -> int:
    """Open a lock file that all users of the host share, or one of this user's own where that is not allowed."""
    try:
        return _open_or_create(path)
    except PermissionError:  # another user made it unreadable: share it among our own workers at least
        return _open_or_create(path.with_name(f"{path.stem}-{os.getuid()}{path.suffix}"))


def _open_or_create(path: Path) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)  # without O_CREAT: Linux refuses that on another user's file in a sticky folder
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o444)
        os.fchmod(descriptor, 0o444)  # whatever the umask says; flock needs no right to write
        return descriptor
    return os.open(path, flags)
