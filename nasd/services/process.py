"""Starting and watching one server process: as whom, bound to whose life, and restarted how.

A server holds a lock file through an inherited descriptor. The kernel frees it when the last process of that server is
gone, backends included, so "does anything of it still live?" never depends on a pid that may be somebody else's by now.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from nasd.services.home import Account
from nasd.services.locks import open_lock, read_pid, try_lock, write_pid

_PR_SET_PDEATHSIG = 1
_EVICT_AFTER_S = 10.0
_HEALTHY_AFTER_S = 30.0
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_LOG = logging.getLogger("nasd.services")


@dataclass(frozen=True, slots=True)
class Program:
    """What the owner must know to run one server."""

    name: str
    argv: tuple[str, ...]
    lock: Path
    log: Path
    folder: Path  # the server's data; stands in its command line
    account: Account | None
    stop_signals: tuple[signal.Signals, ...]  # polite first; SIGKILL follows by itself
    clear_stale: Callable[[], None]  # removes what a killed server left; called when nothing of it lives
    answers: Callable[[int], bool]  # given its pid
    environment: Mapping[str, str] = field(default_factory=dict)  # beside what every server gets


def launch(
    argv: Sequence[str],
    *,
    account: Account | None,
    death_signal: signal.Signals,
    log: IO[bytes],
    cwd: Path,
    lock_fd: int | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child that gets death_signal when we die, by whatever cause (Linux; elsewhere the lock file's pid helps).

    Only for the main thread of a process with one thread: the death signal follows the *thread*, and code runs between
    fork and exec.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    parent = os.getpid()

    def before_exec() -> None:  # after the change of user, which would clear the death signal
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # died before the line above
                os._exit(97)
        if lock_fd is not None:
            write_pid(lock_fd, os.getpid())

    return subprocess.Popen(
        list(argv),
        stdin=stdin,
        stdout=log,
        stderr=log,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **(environment or {})},
        start_new_session=True,
        umask=0o077,
        pass_fds=() if lock_fd is None else (lock_fd,),
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
        preexec_fn=before_exec,  # noqa: PLW1509 (one thread, see above)
    )


def command_of(pid: int) -> str:
    """The command line of a process; empty where it is gone, a zombie, or can't be seen."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    done = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


class Server:
    """One server: started, watched, restarted with back-off. `tick` decides and never waits."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.is_ready = False
        self.n_failures = 0  # ends since it was last healthy: sets the back-off
        self.n_failed_starts = 0  # ends in a row before it was ready
        self.was_ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._next_start = 0.0
        self._started = 0.0
        self._blocked_since: float | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def tick(self, now: float) -> None:
        """Look once: start what is due, note what ended, note what became ready."""
        if self._process is None:
            if now >= self._next_start:
                self._start(now)
        elif self._process.poll() is not None:
            self._note_end(self._process.returncode, now)
        elif not self.is_ready:
            self.is_ready = self.program.answers(self._process.pid)
            if self.is_ready:
                self.was_ready, self.n_failed_starts = True, 0
                _LOG.info("%s is ready, pid %d, %.2f s", self.program.name, self._process.pid, now - self._started)
        elif self.n_failures and now - self._started > _HEALTHY_AFTER_S:
            self.n_failures = 0

    def ask_to_stop(self, step: int) -> bool:
        """Send the given step's stop signal (the last is SIGKILL); False where nothing runs."""
        if self._process is None or self._process.poll() is not None:
            return False
        ladder = (*self.program.stop_signals, signal.SIGKILL)
        self._process.send_signal(ladder[min(step, len(ladder) - 1)])
        return True

    def has_stopped(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _start(self, now: float) -> None:
        lock_fd = open_lock(self.program.lock)
        try:
            if not try_lock(lock_fd):
                self._evict(now)
                return
            self._blocked_since = None
            self.program.clear_stale()
            with self.program.log.open("ab") as log:
                self._process = launch(
                    self.program.argv,
                    account=self.program.account,
                    death_signal=self.program.stop_signals[0],
                    log=log,
                    cwd=self.program.folder,
                    lock_fd=lock_fd,
                    environment=self.program.environment,
                )
            self._started = now
        finally:
            os.close(lock_fd)  # the server's own copy goes on holding it

    def _evict(self, now: float) -> None:
        """Something of an earlier server still lives: ask it to go, insist after a while, try again soon."""
        first = self._blocked_since is None
        self._blocked_since = now if self._blocked_since is None else self._blocked_since
        insist = now - self._blocked_since > _EVICT_AFTER_S
        pid = read_pid(self.program.lock)
        if (first or insist) and pid is not None and str(self.program.folder) in command_of(pid):
            _LOG.info("an earlier %s, pid %d, still runs: asking it to stop", self.program.name, pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if insist else self.program.stop_signals[0])
        self._next_start = now + 0.05

    def _note_end(self, returncode: int, now: float) -> None:
        wait_s = _BACKOFF_S[min(self.n_failures, len(_BACKOFF_S) - 1)]
        _LOG.warning("%s ended with %d; starting it again in %.1f s", self.program.name, returncode, wait_s)
        self.n_failed_starts += not self.is_ready
        self.n_failures += 1
        self._process, self.is_ready = None, False
        self._next_start = now + wait_s
