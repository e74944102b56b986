"""`nasd run` interrupted, stopped, killed and bereft of its servers: it leaves nothing behind and loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from database import Database
from fault_functions import HELD, HOLD
from fault_processes import environment
from fault_soundness import assert_study_is_sound
from fault_system import study_text

from nasd.services import attach, status
from nasd.store.studies import PgStudies

pytestmark = [pytest.mark.fault, pytest.mark.timeout(170)]

WaitUntil = Callable[..., None]
TRIALS = 16
GATE = 8


class Run:
    """`nasd run` in a folder of its own, over the embedded pair of a home of its own."""

    def __init__(self, home: Path, folder: Path, wait_until: WaitUntil) -> None:
        self.home, self.folder, self.wait_until = home, folder, wait_until
        self.gates, self.file = folder / "gates", folder / "study.toml"
        self.gates.mkdir()
        self.write()
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, **options: object) -> None:
        """The study file; options as `study_text`."""
        self.file.write_text(study_text(**{"trials": TRIALS, **options}))  # type: ignore[arg-type]

    def start(self, *, workers: int = 1) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "nasd", "run", str(self.file), "--workers", str(workers)],
            cwd=self.folder,
            env=environment(NASD_HOME=str(self.home), FAULT_GATES=str(self.gates)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def ended(self, process: subprocess.Popen[str], limit_s: float = 60.0) -> tuple[int, str]:
        """Exit code and everything that it printed."""
        printed, _ = process.communicate(timeout=limit_s)
        return process.returncode, printed

    def completes(self, *, trials: int = TRIALS) -> str:
        """The same command again, to the study's end; what it printed."""
        code, printed = self.ended(self.start())
        assert code == 0, printed
        with self.database() as database:
            assert_study_is_sound(database, trials=trials)
        return printed

    def start_and_hold(self, *, workers: int = 1) -> subprocess.Popen[str]:
        """Started, with a worker standing in the evaluation of trial GATE."""
        (self.gates / f"{HOLD}{GATE}").touch()
        process = self.start(workers=workers)
        self.wait_until(lambda: list(self.gates.glob(f"{HELD}{GATE}-*")), limit_s=60, what=f"trial {GATE} at its gate")
        return process

    def release(self) -> None:
        (self.gates / f"{HOLD}{GATE}").unlink()
        for held in self.gates.glob(f"{HELD}*"):
            held.unlink()

    @contextmanager
    def database(self) -> Iterator[Database]:
        with attach(self.home) as services:
            urls = {role: services.database_url(role) for role in ("admin", "controller", "worker", "reader")}
            yield Database(**urls)

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def run(home: Path, tmp_path: Path, wait_until: WaitUntil) -> Iterator[Run]:
    run = Run(home, tmp_path, wait_until)
    yield run
    run.end()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The controller, the workers and their evaluating processes."""
    return psutil.Process(process.pid).children(recursive=True)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_ctrl_c_drains_and_the_same_command_goes_on_to_the_exact_budget(run: Run, report: Callable[[str, float], None]):
    """The evening's laptop and the morning's; then the budget is raised in the file."""
    process = run.start_and_hold(workers=2)
    children = family(process)
    began = time.monotonic()

    process.send_signal(signal.SIGINT)
    code, printed = run.ended(process)

    took = time.monotonic() - began
    report("ctrl_c_s", took)
    assert code == 130, printed
    assert took < 10
    assert f"nasd run {run.file}" in printed
    assert all(is_gone(child) for child in children)
    with run.database() as database:
        assert database.rows("select count(*) from nasd_core.lease") == [(0,)]
        assert database.rows("select max(spent) from nasd_core.evaluation") == [(0,)]
        assert database.rows("select state from nasd.studies") == [("paused",)]
        ended = database.rows("select trial from nasd.trials where state = 'completed'")
    assert len(ended) >= GATE - 4
    run.release()

    run.completes()

    run.write(trials=TRIALS + 6)
    run.completes(trials=TRIALS + 6)


def test_a_second_ctrl_c_stops_now(run: Run):
    """Whoever asks twice does not want to wait for an evaluation that hears nothing."""
    run.write(function="deaf")
    process = run.start_and_hold()
    children = family(process)
    (controller,) = [child for child in children if "controller" in child.cmdline()]
    process.send_signal(signal.SIGINT)
    run.wait_until(lambda: is_gone(controller), what="the controller's leaving: the drain has begun")
    began = time.monotonic()

    process.send_signal(signal.SIGINT)
    code, printed = run.ended(process)

    assert code == 130, printed
    assert time.monotonic() - began < 2.5
    run.wait_until(lambda: all(is_gone(child) for child in children), limit_s=3, what="the end of all children")
    run.release()
    run.completes()


def test_kill_9_leaves_no_process_and_the_next_run_completes(run: Run, report: Callable[[str, float], None]):
    """No orphan holds the data folder, burns a core or goes on writing."""
    process = run.start_and_hold(workers=2)
    servers = status(run.home)
    pids = (servers.owner_pid, servers.postgres_pid, servers.valkey_pid)
    relatives = family(process) + [psutil.Process(pid) for pid in pids if pid is not None]
    assert len(relatives) == 1 + 2 * 2 + 3
    began = time.monotonic()

    process.kill()

    run.wait_until(
        lambda: all(is_gone(relative) for relative in relatives), limit_s=12, what="the end of all processes"
    )
    report("all_gone_after_kill_s", time.monotonic() - began)
    assert not status(run.home).is_running
    run.release()
    run.completes()


def test_ctrl_c_in_one_of_two_runs_leaves_the_other_going(run: Run):
    """The same command in a second terminal is more workers, and may be ended like any other."""
    first = run.start_and_hold()
    second = run.start()
    with run.database() as database:
        studies = PgStudies(database.controller)
        run.wait_until(lambda: studies.n_controllers() == 2, what="the second run's controller")
    first.send_signal(signal.SIGINT)
    code, printed = run.ended(first)
    assert code == 130, printed
    run.release()

    code, printed = run.ended(second)

    assert code == 0, printed
    with run.database() as database:
        assert_study_is_sound(database, trials=TRIALS)


@pytest.mark.parametrize("victim", ["controller", "worker", "owner", "postgres"])
def test_a_killed_member_is_replaced_and_the_run_goes_on(run: Run, victim: str):
    """`nasd run` is the supervisor of what it started."""
    process = run.start_and_hold()
    servers = status(run.home)
    pids = {
        **{child.cmdline()[3]: child.pid for child in family(process) if child.cmdline()[1:3] == ["-m", "nasd"]},
        "owner": servers.owner_pid,
        "postgres": servers.postgres_pid,
    }
    os.kill(int(str(pids[victim])), signal.SIGKILL)
    run.release()

    code, printed = run.ended(process)

    assert code == 0, printed
    with run.database() as database:
        assert_study_is_sound(database, trials=TRIALS)


def refusal(run: Run, **variables: str) -> str:
    """The one sentence with which `nasd run` refuses."""
    done = subprocess.run(
        [sys.executable, "-m", "nasd", "run", str(run.file)],
        env=environment(NASD_HOME=str(run.home), **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("error: ")
    return sentence


def test_a_changed_space_is_refused_by_name(run: Run):
    """Trials of two spaces in one study could not be told apart."""
    run.write(trials=6)
    run.completes(trials=6)
    run.file.write_text(run.file.read_text() + '[space.params]\nactivation = ["relu"]\n')

    assert "space.params.activation" in refusal(run)
    with run.database() as database:
        assert_study_is_sound(database, trials=6)


def test_a_database_that_cannot_be_used_is_one_sentence(run: Run, database: Database):
    """Not reachable, or made by a newer nasd."""
    given = {"NASD_REDIS_URL": "redis://127.0.0.1:1"}
    nowhere = refusal(run, NASD_DATABASE_URL="postgresql://127.0.0.1:1/nasd", **given)
    assert "NASD_DATABASE_URL" in nowhere
    with psycopg.connect(database.admin) as connection:
        connection.execute("update nasd_core.alembic_version set version_num = '9999'")

    newer = refusal(run, NASD_DATABASE_URL=database.controller, **given)
    assert "newer" in newer
    assert "9999" in newer
