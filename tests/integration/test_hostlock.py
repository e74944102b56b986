"""One worker of a host measures at a time, and while it does nobody trains."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from typing import ClassVar

import pytest

from nasd.domain.study import MeasureSpec
from nasd.errors import WorldFault
from nasd.profiling.measuring import measure_runner
from workers.control import Control, Order
from workers.hooks import Hooks, Stopped
from workers.hostlock import HostLock


@pytest.fixture
def lock(tmp_path):
    made = []

    def make() -> HostLock:
        made.append(HostLock(tmp_path))  # locks belong to open files: two in one process are two workers
        return made[-1]

    yield make
    for one in made:
        one.close()


def nothing() -> None: ...


@pytest.fixture
def control():
    made, descriptor = Control.create()
    os.close(descriptor)
    yield made
    made.close()


class Trainer:
    """Steps of about a millisecond, in a thread, counted."""

    def __init__(self, hooks: Hooks) -> None:
        self.hooks, self.steps, self.is_stopped = hooks, 0, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                self.hooks.at_step(self.steps)
                self.steps += 1
                time.sleep(0.001)
        except Stopped:
            self.is_stopped = True
        finally:
            self.hooks.leave()

    def join(self) -> None:
        self._thread.join(timeout=5)
        assert self.is_stopped


def test_a_trainer_pauses_while_somebody_measures(lock, control, wait_until):
    """A trainer on the other core changes a latency by half; the seconds it waits are not its busy time."""
    trainer = Trainer(Hooks(control, lock()))
    wait_until(lambda: trainer.steps > 3)

    with lock().exclusive(nothing) as waited_s:
        before = trainer.steps
        time.sleep(0.1)
        during = trainer.steps - before

    wait_until(lambda: trainer.steps > before + 3)
    assert during == 0
    assert waited_s < 0.1
    assert 0.05 < control.paused_s < 0.5
    control.order = Order.STOP
    trainer.join()


def test_a_paused_trainer_still_obeys(lock, control, wait_until):
    """A measurer that hangs must not keep a worker from leaving."""
    trainer = Trainer(Hooks(control, lock()))
    wait_until(lambda: trainer.steps > 3)

    with lock().exclusive(nothing):
        control.order = Order.STOP
        trainer.join()


class Sleeper:
    """A runner whose passes take a millisecond."""

    conditions: ClassVar = {"runtime": "sleep"}
    n_samples = 1

    def run(self) -> None:
        time.sleep(0.001)

    def close(self) -> None: ...


def test_trainers_go_on_between_two_windows(lock, control, wait_until):
    """A measurement takes half a second; standing still for all of it would cost a short training a quarter."""
    trainer = Trainer(Hooks(control, lock()))
    wait_until(lambda: trainer.steps > 3)
    mine, inside = lock(), []

    @contextlib.contextmanager
    def exclusive():
        with mine.exclusive(nothing):
            before = trainer.steps
            yield
            inside.append((before, trainer.steps))

    began = time.perf_counter()
    found = measure_runner(Sleeper(), MeasureSpec(windows=4), exclusive=exclusive)
    elapsed_s = time.perf_counter() - began
    control.order = Order.STOP
    trainer.join()

    assert len(inside) == len(found.conditions["windows"]) >= 4
    assert all(before == after for before, after in inside)
    assert all(later > earlier for (_, earlier), (later, _) in itertools.pairwise(inside))
    assert control.paused_s < elapsed_s / 2


def test_a_measurement_obeys_between_two_windows(lock):
    """Nobody else may be there to be waited for."""
    asked = []

    def obey() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise Stopped

    mine = lock()
    with pytest.raises(Stopped):
        measure_runner(Sleeper(), MeasureSpec(windows=9), exclusive=lambda: mine.exclusive(obey))
    assert len(asked) == 3


def test_two_measurers_take_turns(lock):
    """Two measurements at once disturb each other as much as a training does."""
    inside, most = [], []

    def measure() -> None:
        mine = lock()
        for _ in range(5):
            with mine.exclusive(nothing):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.002)
                inside.pop()

    threads = [threading.Thread(target=measure) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1] * 15


def test_a_trainer_without_boundaries_is_given_up(lock, monkeypatch):
    """Then the measurement fails here and is tried again, instead of waiting for ever."""
    monkeypatch.setattr("workers.hostlock._LIMIT_S", 0.05)
    lock().boundary(nothing, share=True)

    with pytest.raises(WorldFault, match="measuring lock"), lock().exclusive(nothing):
        pass


HOLD = """
import sys, time; from pathlib import Path; from workers.hostlock import HostLock
with HostLock(Path(sys.argv[1])).exclusive(lambda: None):
    print("held", flush=True); time.sleep(60)
"""


@pytest.mark.fault
def test_a_killed_measurer_frees_the_host(tmp_path, lock):
    """The kernel drops a dead process's locks; nothing has to be cleaned up."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as measurer:
        measurer.stdout.readline()
        mine = lock()
        assert mine.is_wanted()

        os.kill(measurer.pid, signal.SIGKILL)
        measurer.wait()

    assert mine.boundary(nothing, share=True) < 0.1
