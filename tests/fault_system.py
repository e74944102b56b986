"""The whole system as processes that can be killed: controllers, workers, a study, conditions with a limit.

Every wait has a limit and says what it waited for, with the last lines of the processes' logs.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from database import Database
from fault_functions import HELD, HOLD
from fault_processes import Launcher, Process, environment

from nasd.app.studies import open_study
from nasd.ports.trials import Study, StudyState
from nasd.services import Services
from nasd.store.studies import PgStudies

STUDY = """
seed = 11
[evaluation]
run = "fault_functions:{function}"
[objectives]
cost = {{ worst = 2.0, best = 0.0 }}
gain = {{ direction = "max", worst = -2.0, best = 10.0 }}
params = {{}}
[strategy]
use = "nsga2"
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
