"""The child processes of one `nasd run`: a controller and workers, started, watched, restarted and drained."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nasd.app.parent import PARENT_VARIABLE
from nasd.app.quota import CpuQuota
from nasd.errors import Unavailable

QUICK_S = 5.0  # a child that ends sooner after its start than this did not work at all
MAX_QUICK_ENDS = 3


@dataclass(slots=True)
class Member:
    """One child: what to start, and how its starts went."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    cores: frozenset[int] | None = None  # CPUs that it is pinned to, with all that it starts
    quota: CpuQuota | None = None
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    n_quick_ends: int = 0
    n_starts: int = 0


class Family:
    """Children in sessions of their own, so that Ctrl-C reaches the parent alone and it decides what follows."""

    def __init__(self, *, keep_fds: Sequence[int] = ()) -> None:
        self._members: list[Member] = []
        self._keep_fds = tuple(keep_fds)

    def add(self, member: Member) -> None:
        """Start it now and watch it from now on."""
        self._members.append(member)
        self._start(member)

    @property
    def n_restarts(self) -> int:
        """How often a child had to be started again."""
        return sum(member.n_starts - 1 for member in self._members)

    def mend(self) -> None:
        """Start again what has ended.

        Raises:
            Unavailable: a child ended several times right after its start; names its log and quotes its last line.
        """
        for member in self._members:
            if member.process is None or member.process.poll() is None:
                continue
            is_quick = time.monotonic() - member.started_at < QUICK_S
            member.n_quick_ends = member.n_quick_ends + 1 if is_quick else 0
            if member.n_quick_ends >= MAX_QUICK_ENDS:
                raise Unavailable(
                    f"{member.name} does not stay up (exit code {member.process.returncode}): "
                    f"{_last_line(member.log)} Its log: {member.log}"
                )
            self._start(member)

    def ask_to_leave(self) -> None:
        """SIGTERM to all: workers give their work back, the controller resigns."""
        for member in self._members:
            if member.process is not None and member.process.poll() is None:
                member.process.send_signal(signal.SIGTERM)

    @property
    def is_gone(self) -> bool:
        """No child runs."""
        return all(member.process is None or member.process.poll() is not None for member in self._members)

    def kill(self) -> None:
        """End all now; what they were doing is taken up from rows next time."""
        for member in self._members:
            if member.process is not None and member.process.poll() is None:
                member.process.kill()
                member.process.wait()

    def _start(self, member: Member) -> None:
        member.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **member.environment, PARENT_VARIABLE: str(os.getpid())}
        with member.log.open("ab") as log, _pinned(member.cores):
            member.process = subprocess.Popen(
                [sys.executable, "-m", "nasd", *member.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                pass_fds=self._keep_fds,  # holding it keeps the embedded pair up while they drain
            )
        if member.quota is not None:
            with contextlib.suppress(OSError):  # it ended at once; `mend` says so
                member.quota.hold(member.process.pid)
        member.started_at = time.monotonic()
        member.n_starts += 1


@contextlib.contextmanager
def _pinned(cores: frozenset[int] | None) -> Iterator[None]:
    """What is started meanwhile inherits these CPUs from its first moment on."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)  # of this thread alone
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return (lines[-1] if lines else "it printed nothing").rstrip(".") + "."
