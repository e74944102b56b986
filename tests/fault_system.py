"""The whole system as processes that can be killed: launcher, controllers, workers, a study, conditions with a limit.

Every wait has a limit and says what it waited for, with the last lines of the processes' logs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil
import psycopg
from database import Database
from fault_functions import HELD, HOLD

from nasd.app.studies import open_study
from nasd.ports.trials import Study, StudyState
from nasd.services import Services
from nasd.store.studies import PgStudies

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
}

STUDY = """
seed = 11
[evaluation]
run = "fault_functions:{function}"
[objectives]
cost = {{ worst = 2.0, best = 0.0 }}
gain = {{ direction = "max", worst = -2.0, best = 10.0 }}
params = {{}}
[strategy]
population = 8
{in_flight}
[budget]
trials = {trials}
"""


def study_text(*, trials: int = 40, in_flight: int | None = None, function: str = "landscape") -> str:
    """A study file with three objectives and the tests' own evaluation."""
    return STUDY.format(
        trials=trials, function=function, in_flight="" if in_flight is None else f"in_flight = {in_flight}"
    )


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of its own, with short intervals and the tests' functions."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NASD_")}
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    return {**inherited, **FAST, "PYTHONPATH": path, **more}


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
        with self._news:
            assert self._news.wait_for(condition, limit_s), f"{what} did not come within {limit_s} s"

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


class System:
    """Controllers and workers over one database, and the study that they work on."""

    def __init__(self, launcher: Launcher, services: Services, database: Database, folder: Path) -> None:
        self.launcher, self.services, self.database, self.folder = launcher, services, database, folder
        self.processes: list[Process] = []
        self.gates = folder / "gates"
        self.gates.mkdir()
        self.studies = PgStudies(database.controller)
        self._connection: psycopg.Connection | None = None

    def create(self, name: str = "study", **options: object) -> Study:
        """A new study from a file; options as `study_text`."""
        path = self.folder / f"{name}.toml"
        path.write_text(study_text(**options))  # type: ignore[arg-type]
        return open_study(path, self.studies)

    def controller(self, killpoint: str | None = None, **settings: str) -> Process:
        return self._start("controller", database=self.database.controller, killpoint=killpoint, settings=settings)

    def worker(self, killpoint: str | None = None, **settings: str) -> Process:
        database = self.database.worker
        return self._start("worker", "--stage", "run", database=database, killpoint=killpoint, settings=settings)

    def _start(self, *arguments: str, database: str, killpoint: str | None, settings: dict[str, str]) -> Process:
        role = "controller" if arguments[0] == "controller" else "worker"
        variables = environment(
            NASD_DATABASE_URL=database,
            NASD_REDIS_URL=self.services.redis_url(role),
            NASD_HOME=str(self.folder / "home"),
            FAULT_GATES=str(self.gates),
            **({} if killpoint is None else {"NASD_KILLPOINT": killpoint}),
            **settings,
        )
        process = self.launcher.start(*arguments, environment=variables, folder=self.folder)
        self.processes.append(process)
        return process

    # What rows say --------------------------------------------------------------------------------------------------

    def rows(self, query: str, *arguments: object) -> list[tuple]:
        """What the owner of the database sees; waits where it is being started again."""
        found: list[list[tuple]] = []

        def read() -> bool:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = psycopg.connect(self.database.admin, autocommit=True)
                found.append(self._connection.execute(query, arguments).fetchall())
            except psycopg.OperationalError:
                return False
            return True

        self.until(read, what="the database")
        return found[0]

    def value(self, query: str, *arguments: object) -> object:
        return self.rows(query, *arguments)[0][0]

    @property
    def n_completed(self) -> int:
        return int(str(self.value("select count(*) from nasd_core.evaluation where state = 'completed'")))

    @property
    def state(self) -> StudyState:
        return StudyState(str(self.value("select state from nasd_core.study")))

    def until(self, condition: Callable[[], object], *, limit_s: float = 40.0, what: str = "the condition") -> float:
        """Wait; the seconds that it took."""
        began = time.monotonic()
        while not condition():
            waited = time.monotonic() - began
            assert waited < limit_s, f"{what} did not come about within {limit_s} s:\n{self.describe()}"
            time.sleep(0.02)
        return time.monotonic() - began

    def until_completed(self, n: int) -> None:
        self.until(lambda: self.n_completed >= n, what=f"{n} completed evaluations")

    def until_complete(self, limit_s: float = 60.0) -> None:
        """Until the study has ended; fails at once where it was stopped."""
        self.until(lambda: self.state is not StudyState.RUNNING, limit_s=limit_s, what="the study's end")
        assert self.state is StudyState.COMPLETED, self.describe()

    def describe(self) -> str:
        """For a failed test."""
        try:
            rows = self.database.rows(
                "select study, state, state_reason, n_trials, n_completed, n_running, n_queued, n_failed, learned_seq "
                "from nasd.studies"
            )
        except psycopg.OperationalError as error:
            rows = [(str(error),)]
        return "\n".join([*(str(row) for row in rows), *(str(process) for process in self.processes)])

    # Gates ----------------------------------------------------------------------------------------------------------

    def hold(self, trial: int) -> None:
        """Let the evaluation of `trial` not go on, wherever it runs."""
        (self.gates / f"{HOLD}{trial}").touch()

    def until_held(self, trial: int, worker: Process) -> None:
        self.until(lambda: self.is_held(trial, worker), what=f"trial {trial} at its gate")

    def is_held(self, trial: int, worker: Process) -> bool:
        return (self.gates / f"{HELD}{trial}-{worker.pid}").exists()

    def release(self, trial: int) -> None:
        (self.gates / f"{HOLD}{trial}").unlink()

    def end(self) -> None:
        """Kill what is left."""
        for process in self.processes:
            process.send(signal.SIGKILL)
        for process in self.processes:
            process.wait()
        if self._connection is not None:
            self._connection.close()


@contextmanager
def system_over(launcher: Launcher, services: Services, database: Database, folder: Path) -> Iterator[System]:
    """A system, ended afterwards."""
    system = System(launcher, services, database, folder)
    try:
        yield system
    finally:
        system.end()
