"""Processes of the program that a test may kill, each started by the launcher, with short intervals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import psutil

TESTS = Path(__file__).parent
LEASE_S = 1.5

# Everything that waits for silence waits briefly; a busy machine may cost attempts but no trial.
FAST = {
    "NASD_LEASE__DURATION_S": str(LEASE_S),
    "NASD_LEASE__RENEW_EVERY_S": "0.3",
    "NASD_LEASE__MAX_ATTEMPTS": "20",
    "NASD_LEASE__BACKOFF_S": "0.05",
    "NASD_CONTROLLER__POLL_S": "0.2",
    "NASD_CONTROLLER__REAP_EVERY_S": "0.1",
    "NASD_CONTROLLER__SWEEP_EVERY_S": "0.1",
    "NASD_CONTROLLER__REPORT_EVERY_S": "0.1",
    "NASD_CONTROLLER__TAKEOVER_S": "0.6",
    "NASD_CONTROLLER__CACHE_EVERY": "4",
    "NASD_WORKER__BEAT_EVERY_S": "0.2",
    "NASD_WORKER__IDLE_POLL_S": "0.3",
    "NASD_WORKER__DRAIN_S": "1.0",
    "NASD_WORKER__ALLOW": '["fault_functions", "user_functions"]',
}


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of its own, with short intervals and the tests' functions."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NASD_")}
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    return {**inherited, **FAST, "PYTHONPATH": path, **more}


def nasd(*arguments: str, home: Path, folder: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """The command as a user gives it in `folder`; users' code is found as the program finds it, not as tests do."""
    return subprocess.run(
        [sys.executable, "-m", "nasd", *arguments],
        env={**environment(NASD_HOME=str(home)), "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


class Process:
    """One process that the launcher started, with the tree under it."""

    def __init__(self, launcher: Launcher, pid: int, log: Path, what: str) -> None:
        self.pid, self.what, self.log = pid, what, log
        self._launcher = launcher

    @property
    def code(self) -> int | None:
        """Its exit code, -n for signal n; None while it lives."""
        return self._launcher.codes.get(self.pid)

    def send(self, number: int) -> None:
        if self.code is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.send(signal.SIGKILL)
        assert self.wait() is not None

    def wait(self, limit_s: float = 30.0) -> int:
        """Its exit code."""
        self._launcher.wait(lambda: self.code is not None, limit_s, f"the end of {self}")
        assert self.code is not None
        return self.code

    def ends_within(self, limit_s: float) -> bool:
        """Whether it ends by itself in that time."""
        return self._launcher.is_soon(lambda: self.code is not None, limit_s)

    def tree(self) -> list[int]:
        """It and what it started."""
        return [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]

    def __str__(self) -> str:
        tail = self.log.read_text(errors="replace").splitlines()[-8:] if self.log.exists() else []
        return f"{self.what} (pid {self.pid}, exit code {self.code})\n    " + "\n    ".join(tail)


class Launcher:
    """The test's side of `fault_launcher`."""

    def __init__(self) -> None:
        one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # a process with threads can't be forked
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "fault_launcher.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(**one_thread),
            cwd=TESTS.parent,
        )
        self.codes: dict[int, int] = {}
        self._started: dict[int, int] = {}
        self._news = threading.Condition()
        self._requests = count()
        self._is_ready = False
        threading.Thread(target=self._read, daemon=True).start()
        self.wait(lambda: self._is_ready, 60.0, "the launcher")

    def start(self, *arguments: str, environment: dict[str, str], folder: Path) -> Process:
        """`nasd ARGUMENTS` in `folder`."""
        number = next(self._requests)
        log = folder / f"{number}-{arguments[0]}.log"
        request = {
            "request": number,
            "arguments": arguments,
            "environment": environment,
            "log": str(log),
            "folder": str(folder),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        self.wait(lambda: number in self._started, 10.0, f"the start of {arguments}")
        return Process(self, self._started[number], log, " ".join(arguments))

    def wait(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        assert self.is_soon(condition, limit_s), f"{what} did not come within {limit_s} s"

    def is_soon(self, condition: Callable[[], bool], limit_s: float) -> bool:
        with self._news:
            return self._news.wait_for(condition, limit_s)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(timeout=10) == 0
        assert self._process.stdout is not None

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                said = json.loads(line)
                with self._news:
                    self._is_ready |= "ready" in said
                    if "started" in said:
                        self._started[said["request"]] = said["started"]
                    if "ended" in said:
                        self.codes[said["ended"]] = said["code"]
                    self._news.notify_all()
