"""A worker loses no result and gives its work back, whatever becomes of the store, of Redis or of itself."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from fakes_lease import MemoryLeaseStore
from workers_scene import info, recipe, settings

from nasd.domain.measurement import Measurement, Outcome, OutcomeKind
from nasd.errors import Unavailable
from nasd.ports.lease import Directive
from workers.serving import serve
from workers.stats import WorkerStats
from workers.stop import Stop

TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def users_packages(monkeypatch):
    """The worker is started where the user's functions can be imported."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


class Serving:
    """A worker in a thread of this process."""

    def __init__(self, store, home: Path, *, redis_url=None, **worker) -> None:
        self.store, self.stop, self.stats = store, Stop(), WorkerStats()
        self.error: Exception | None = None
        self._arguments = (redis_url, info(), settings(home, **worker))
        self._home = home
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            serve(self.store, *self._arguments, stats=self.stats, stop=self.stop, lock_directory=self._home)
        except Unavailable as error:
            self.error = error

    def end(self) -> None:
        self.stop.request()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()


@pytest.fixture
def serving(tmp_path):
    made = []

    def make(store, **options) -> Serving:
        made.append(Serving(store, tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.end()


def store_with(function: str, n: int = 1, **options) -> MemoryLeaseStore:
    store = MemoryLeaseStore(**options)
    study = store.add_study(recipe(function))
    for _ in range(n):
        store.add(study)
    return store


def test_once_does_what_there_is_and_leaves(tmp_path):
    """`nasd worker --once` in a script ends by itself."""
    store = store_with("arithmetic", 20)
    stats = WorkerStats()

    assert serve(store, None, info(), settings(tmp_path), once=True, stats=stats, lock_directory=tmp_path) == 0

    assert store.states() == ["completed"] * 20
    assert [row.outcome.measurements[0].unit for row in store.rows.values()] == ["coins"] * 20
    assert stats.snapshot()["evaluations"] == [("run", "completed", 20)]
    assert len(store.left) == 1
    assert not (tmp_path / "spool").exists()


def test_a_long_evaluation_is_renewed_and_its_time_accounted(serving, wait_until):
    """Renewals come from outside the busy loop, so that only a dead worker's lease stands still."""
    store = store_with("steps", duration_s=0.3)
    worker = serving(store)
    row = store.row(1)
    wait_until(lambda: row.renewals > 3 and row.progress["step"] > 5)

    activity = worker.stats.activity_s
    assert activity["busy"] > 0.2
    assert store.n_beats > 1
    assert abs(sum(activity.values()) - (time.monotonic() - worker.stats.started_at)) < 0.1


@pytest.mark.parametrize(("directive", "state"), [(Directive.STOP_EARLY, "pruned"), (Directive.ABANDON, "running")])
def test_directives_are_obeyed_at_the_next_step(serving, wait_until, directive, state):
    """A cancelled evaluation must not go on using a GPU; nothing of it is reported."""
    store = store_with("steps")
    worker = serving(store)
    row = store.row(1)
    wait_until(lambda: row.progress.get("step", 0) > 3)

    row.directive = directive

    wait_until(lambda: worker.stats.evaluations)
    assert row.state == state
    assert row.superseded == []


def test_leaving_gives_work_back_and_spends_no_attempt(serving, wait_until):
    """A worker may be stopped at any time, as often as its owner likes."""
    store = store_with("steps")
    worker = serving(store)
    row = store.row(1)
    wait_until(lambda: row.progress.get("step", 0) > 3)

    worker.end()

    assert (row.state, row.attempt, row.spent) == ("queued", 1, 0)
    assert worker.stats.evaluations == {("run", "given_back"): 1}


def test_a_result_waits_for_a_lost_store(tmp_path, serving, wait_until):
    """Paid for is paid for: the database may be away as long as it likes."""
    store = store_with("long")
    row = store.row(1)
    worker = serving(store)
    wait_until(lambda: worker.stats.leases)
    store.away = True
    wait_until(lambda: worker.stats.failed_reports > 2)

    store.away = False

    wait_until(lambda: row.state == "completed")
    assert (row.attempt, row.superseded) == (1, [])


def test_an_undelivered_result_is_delivered_by_the_next_worker(tmp_path, serving, wait_until):
    """The store was away when the worker had to leave."""
    store = store_with("long")
    row = store.row(1)
    first = serving(store)
    wait_until(lambda: first.stats.leases)
    store.away = True
    wait_until(lambda: list((tmp_path / "spool" / "here").glob("*.json")))
    first.end()
    assert row.state == "running"
    (spooled,) = (tmp_path / "spool" / "here").glob("*.json")
    assert spooled.stat().st_mode & 0o077 == 0
    store.away = False

    serving(store)

    wait_until(lambda: row.state == "completed")
    assert row.outcome.measurements[0].value == 7.0
    wait_until(lambda: not list((tmp_path / "spool" / "here").iterdir()))


def test_a_spooled_result_that_came_too_late_is_dropped(tmp_path, serving, wait_until):
    """Another attempt has reported; the file must not be delivered for ever."""
    store = store_with("long")
    row = store.row(1)
    first = serving(store)
    wait_until(lambda: first.stats.leases)
    store.away = True
    wait_until(lambda: list((tmp_path / "spool" / "here").glob("*.json")))
    first.end()
    store.away = False
    store.expire(1)
    better = Outcome(OutcomeKind.COMPLETED, (Measurement("cost", 3.0, "coins"),))
    store.finish(store.lease_next(store.register(info(name="other"))), better)

    second = serving(store)

    wait_until(lambda: not list((tmp_path / "spool" / "here").iterdir()))
    assert (row.outcome, second.stats.lost_leases) == (better, 1)


def test_an_outcome_the_store_cannot_take_does_not_block_the_worker(tmp_path, serving, wait_until, monkeypatch):
    """One poisoned result must not stop a worker for ever; it is kept for a person to look at."""
    monkeypatch.setattr("workers.reporter._LONGEST_WAIT_S", 0.1)
    store = store_with("nothing", 2)
    store.unstorable.add(1)
    serving(store)

    wait_until(lambda: store.states() == ["failed", "completed"])

    assert store.row(1).outcome.reason == "unstorable"
    assert [path.suffix for path in (tmp_path / "spool" / "here").iterdir()] == [".rejected"] * 3  # one an attempt


def test_a_worker_outlives_a_lost_store(serving, wait_until):
    """It starts before its database, and polls on through an outage."""
    store = store_with("nothing")
    store.away = True
    serving(store)
    time.sleep(0.3)

    store.away = False

    wait_until(lambda: store.states() == ["completed"])


def test_a_refused_worker_says_so_and_ends(serving, wait_until):
    """A revoked worker must not poll for ever in silence."""
    store = store_with("nothing", 0)
    worker = serving(store)
    wait_until(lambda: store._workers)

    store._workers.clear()

    wait_until(lambda: worker.error is not None)
    assert "not registered" in str(worker.error)


SCRIPT = """
import json, sys; sys.path.insert(0, {tests!r})
from pathlib import Path
from urllib.request import urlopen
from fakes_lease import MemoryLeaseStore
from workers.serving import serve
from workers_scene import info, recipe, settings
home = Path({home!r})
store = MemoryLeaseStore()
store.add(store.add_study(recipe({function!r})))
renew = store.renew
def told(lease, progress):
    print(json.dumps(dict(progress)), flush=True)
    return renew(lease, progress)
store.renew = told
status = serve(store, {redis!r}, info(), settings(home), lock_directory=home)
row = store.row(1)
print(json.dumps([row.state, row.attempt, row.spent, len(store.left)]), flush=True)
sys.exit(status)
"""


def start(tmp_path: Path, function: str, *, redis: str | None = None) -> subprocess.Popen:
    script = SCRIPT.format(tests=str(TESTS), home=str(tmp_path), function=function, redis=redis)
    worker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    while '"step": 0' in (line := worker.stdout.readline()) or '"step"' not in line:
        assert worker.poll() is None
        if function == "deaf" and '"step"' in line:
            break
    return worker


@pytest.mark.fault
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_with_0(tmp_path, sent):
    """Ctrl-C and `docker stop` are ordinary ways to end a worker."""
    worker = start(tmp_path, "steps")
    began = time.monotonic()

    worker.send_signal(sent)
    printed, _ = worker.communicate(timeout=15)

    assert worker.returncode == 0
    assert json.loads(printed.splitlines()[-1]) == ["queued", 1, 0, 1]
    assert time.monotonic() - began < 5


@pytest.mark.fault
def test_a_second_signal_leaves_at_once(tmp_path, wait_until):
    """Whoever asks twice does not want to wait; the lease expires by itself."""
    worker = start(tmp_path, "deaf")
    worker.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    began = time.monotonic()

    os.kill(worker.pid, signal.SIGTERM)

    assert worker.wait(timeout=10) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 1
    worker.stdout.close()


def test_a_worker_serves_its_figures(serving, wait_until, caplog):
    """Prometheus sees busy fraction and outcomes of each worker."""
    caplog.set_level("INFO", logger="workers.serving")
    store = store_with("nothing", 3)
    serving(store, metrics_port=0)
    wait_until(lambda: store.states() == ["completed"] * 3)
    (port,) = [record.fields["port"] for record in caplog.records if record.message == "metrics served"]

    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        text = page.read().decode()

    assert 'outcome="completed",stage="run"' in text
    assert "busy" in text
