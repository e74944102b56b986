"""ChildProcess: the evaluating child as its worker sees it: started, spoken to, listened to, killed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from nasd.usercode import environment
from workers.assignment import Json
from workers.control import Control
from workers.wire import Wire

KEEP_LOG_BYTES = 64 * 1024
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_MIB = 1 << 20
_MOST_READS = 64  # of 64 KiB at once; a pipe holds one


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a worker starts its children with.

    Attributes:
        lock_directory: of the host's measuring lock.
        folder: where users' packages and files are; None: the worker's own. It is looked in before the worker's own.
        allow: top-level packages that users' code may come from.
        scratch: a folder for checkpoints; None: there are none.
    """

    lock_directory: Path
    folder: Path | None = None
    allow: tuple[str, ...] = ()
    scratch: Path | None = None


class ChildProcess:
    """One running child, in a session of its own.

    Attributes:
        n_evaluations: that it answered.
        used_torch: for an evaluation.
    """

    def __init__(self, start: Start, *, warm: bool, wake: int | None = None) -> None:
        """Start it.

        Args:
            start: the same for every child of a worker.
            warm: import torch at once.
            wake: a file descriptor that ends a wait when it becomes readable.
        """
        self.n_evaluations = 0
        self.used_torch = False
        self.born_at = time.monotonic()
        self.known_recipes: dict[int, Mapping[str, object]] = {}  # by study, as it was told them last
        self.control, control_fd = Control.create()
        ours, theirs = socket.socketpair()
        self._wire = Wire(ours)
        try:
            self._process = _started(theirs.fileno(), control_fd, start, warm=warm)
        finally:
            theirs.close()
            os.close(control_fd)
        self._log = bytearray()
        self._is_closed = False
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        os.set_blocking(self._out, False)
        self._poll = select.poll()
        self._poll.register(self._wire.fileno(), select.POLLIN)
        self._poll.register(self._out, select.POLLIN)
        if wake is not None:
            self._poll.register(wake, select.POLLIN)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, messages: list[Json]) -> None:
        """Raises OSError where the child is gone."""
        self._wire.send(messages)

    def wait(self, timeout_s: float) -> Any:
        """The child's next message; None where none came in time or something else happened.

        Raises:
            EOFError: the child is gone.
        """
        for descriptor, _ in self._poll.poll(timeout_s * 1000):
            if descriptor == self._out:
                self._read_log()
            elif descriptor == self._wire.fileno():
                return self._wire.receive_ready()
            else:
                self._poll.unregister(descriptor)  # it stays readable; once is enough to be woken
        return None

    def take_log(self) -> str:
        """The last part of what it printed since the last call."""
        if not self._is_closed:
            self._read_log()
        text = self._log.decode(errors="replace").replace("\x00", "\\0")  # Postgres stores no NUL
        self._log.clear()
        return text

    def rss_mib(self) -> float:
        """Resident memory; 0.0 where it is gone."""
        try:
            if sys.platform == "linux":
                pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
                return pages * os.sysconf("SC_PAGE_SIZE") / _MIB
            return float(psutil.Process(self.pid).memory_info().rss) / _MIB
        except (OSError, IndexError, psutil.Error):
            return 0.0

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill it and what it started, at once."""
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.pid).children(recursive=True):  # those in sessions of their own too
                with contextlib.suppress(psutil.Error):
                    process.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # its session's group has its number

    def close(self, *, patience_s: float = 0.0) -> int:
        """Kill it where it lives, and free what it held.

        Args:
            patience_s: how long it may take to die by itself.

        Returns:
            Its exit status, -n for signal n.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        self.kill()
        status = self._process.wait()
        self._read_log()
        self._is_closed = True
        self._wire.close()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self.control.close()
        return status

    def _read_log(self) -> None:
        for _ in range(_MOST_READS):  # one that prints for ever must not keep us from looking at its limits
            try:
                chunk = os.read(self._out, 1 << 16)
            except (BlockingIOError, ValueError):
                return
            if not chunk:  # it closed its output; without this poll() would return at once for ever
                with contextlib.suppress(KeyError):
                    self._poll.unregister(self._out)
                return
            self._log += chunk
            del self._log[:-KEEP_LOG_BYTES]


def _started(wire: int, control: int, start: Start, *, warm: bool) -> subprocess.Popen[bytes]:
    arguments = [str(wire), str(control), str(os.getpid()), str(int(warm)), str(start.lock_directory)]
    arguments += [str(start.scratch.absolute()) if start.scratch is not None else "", ",".join(start.allow)]
    return subprocess.Popen(
        # -P: a folder of the user's named `workers` must not stand in for ours; -u: what it printed last before it died
        # is in the log, and in order with what C code printed
        [sys.executable, "-P", "-u", "-m", "workers.child", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(wire, control),
        start_new_session=True,
        cwd=start.folder,
        env=environment(Path.cwd()) | _ONE_THREAD,
        bufsize=0,
    )
