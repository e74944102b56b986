"""What takes an evaluation down takes down that evaluation alone, and is classed by whose fault it was."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from workers_scene import Rig

from nasd.domain.measurement import OutcomeKind
from workers.control import Order

TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def users_packages(monkeypatch):
    """The worker is started where the user's functions can be imported."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


@pytest.fixture
def rig(tmp_path):
    made = []

    def make(**worker) -> Rig:
        made.append(Rig(tmp_path, **worker))
        return made[-1]

    yield make
    for one in made:
        one.evaluator.close()


def when_stepping(rig: Rig, order: Order) -> None:
    """Give `order` once the function has taken a few steps."""

    def wait() -> None:
        while rig.evaluator.progress().get("step", 0) < 3:
            time.sleep(0.01)
        rig.evaluator.order(order)

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize(
    ("function", "kind", "reason"),
    [
        ("raises", OutcomeKind.INFEASIBLE, "exception"),
        ("exits", OutcomeKind.INFEASIBLE, "exception"),
        ("leaves", OutcomeKind.INFEASIBLE, "exited"),
        ("segfault", OutcomeKind.INFEASIBLE, "crashed"),
        ("abort", OutcomeKind.INFEASIBLE, "crashed"),
        ("killed", OutcomeKind.FAILED, "child_killed"),
        ("allocates_too_much", OutcomeKind.INFEASIBLE, "out_of_memory"),
        ("not_finite", OutcomeKind.INFEASIBLE, "not_finite"),
        ("not_a_dict", OutcomeKind.INFEASIBLE, "bad_result"),
        ("lacks_an_objective", OutcomeKind.INFEASIBLE, "bad_result"),
        ("is_not_there", OutcomeKind.FAILED, "function_missing"),
    ],
)
def test_each_end_is_classed(rig, function, kind, reason):
    """A strategy learns from a candidate's fault and must not learn from the world's; the next evaluation works."""
    one = rig()

    outcome = one.run(function)

    assert (kind, reason) == (outcome.kind, outcome.reason)
    assert outcome.message
    assert one.value("nothing") == 1.0


def test_a_traceback_and_what_was_printed_are_kept(rig):
    """`nasd logs` shows why an evaluation failed, with what C code wrote too."""
    one = rig()

    assert "RuntimeError: no such layer" in one.run("raises").log
    assert "about to crash" in (crash := one.run("segfault").log)
    assert "Segmentation fault" in crash
    log = one.run("chatty").log
    assert log.endswith("the end\n")
    assert len(log) <= 64 * 1024
    assert one.run("nothing").log == ""


def test_an_endless_loop_ends_at_its_time_limit(rig):
    """It can't be asked to stop, so it is killed."""
    one = rig()
    began = time.monotonic()

    outcome = one.run("endless", limit_s=0.5)

    assert (outcome.kind, outcome.reason) == (OutcomeKind.INFEASIBLE, "time_limit")
    assert time.monotonic() - began < 5


def test_a_hog_ends_at_its_memory_limit(rig):
    """Before the kernel picks a victim of its own."""
    outcome = rig(memory_limit_mib=200).run("hog")

    assert (outcome.kind, outcome.reason) == (OutcomeKind.INFEASIBLE, "out_of_memory")
    assert outcome.violation > 0


def test_a_healthy_child_is_reused_and_an_old_or_leaking_one_replaced(rig):
    """A process per evaluation would cost more than most evaluations; one for ever would grow."""
    one = rig(recycle_after=3, min_life_s=0.0)
    pids = [one.value("who") for _ in range(6)]
    leaky = rig(recycle_rss_growth_mib=40)
    leaked = [leaky.value("leak") for _ in range(18)]

    assert [pids[0]] * 3 + [pids[3]] * 3 == pids
    assert pids[0] != pids[3]
    assert len(set(leaked)) == 2


def test_a_child_that_stops_at_a_boundary_stays(rig):
    """Draining and abandoning must not cost a new process; careless `except Exception` must not swallow them."""
    one = rig()
    before = one.value("who")
    when_stepping(one, Order.STOP)

    assert one.run("steps") is None
    assert one.value("who") == before


def test_stopping_early_reports_what_there_is(rig):
    """A pruned evaluation is paid for up to there."""
    one = rig()
    when_stepping(one, Order.STOP_EARLY)

    outcome = one.run("steps")

    assert outcome.kind is OutcomeKind.PRUNED
    assert 0 < outcome.measurements[0].value < 100


def test_who_does_not_obey_is_killed(rig):
    """A function without step boundaries must not keep a worker from leaving."""
    one = rig(drain_s=0.3)
    threading.Timer(0.2, lambda: setattr(one, "is_stopping", True)).start()
    began = time.monotonic()

    assert one.run("deaf") is None
    assert time.monotonic() - began < 3


def test_stopping_early_is_an_answer_to_a_report(rig):
    """A function that tidies up itself says what it came to."""
    one = rig()
    when_stepping(one, Order.STOP_EARLY)

    outcome = one.run("stops_when_told")

    assert (outcome.kind, [(each.name, each.value) for each in outcome.measurements]) == (
        OutcomeKind.PRUNED,
        [("cost", 50.0)],
    )


def test_a_function_that_needs_no_torch_runs_without_it(rig):
    """A worker on a small board need not have it, and its import would be most of a short evaluation."""
    assert rig().value("without_torch") == 0.0


def test_code_from_elsewhere_than_allowed_is_not_run(rig):
    """The store leases no such work; the child refuses it all the same."""
    outcome = rig(allow=("another_package",)).run("nothing")

    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "not_allowed")
    assert "nasd worker --allow user_functions" in outcome.message


def test_users_code_sees_no_credentials(rig, monkeypatch):
    """What a user's function can read it can leak."""
    monkeypatch.setenv("NASD_DATABASE_URL", "postgresql://secret@/db")

    assert rig().value("with_secrets") == 0.0


SCRIPT = """
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path
from workers_scene import Rig
rig = Rig(Path({folder!r}))
print(int(rig.value("who")), flush=True)
rig.run({function!r})
"""


@pytest.mark.fault
@pytest.mark.parametrize("function", ["endless", "deaf"])
def test_a_child_dies_with_its_worker(tmp_path, wait_until, function):
    """An orphan would go on training, and hold the measuring lock."""
    script = SCRIPT.format(tests=str(TESTS), folder=str(tmp_path), function=function)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as worker:
        child = psutil.Process(int(worker.stdout.readline()))
        os.kill(worker.pid, signal.SIGKILL)

    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, limit_s=5)
