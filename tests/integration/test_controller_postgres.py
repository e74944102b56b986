"""The controller's loops over the real database: a whole study, its rows, its restart."""

from __future__ import annotations

from functools import partial
from threading import Event, Thread

import pytest
from database import Database
from fakes_trials import FakeCaches, FakeQueue
from fakes_world import World
from prometheus_client import CollectorRegistry
from toy_study import DATA, toy_parts, toy_spec, toy_values

from nasd.config import ControllerSettings
from nasd.controller.mind import StudyMind, rebuild
from nasd.controller.replay import replay
from nasd.daemon.controller import Controller, Outside
from nasd.domain.ids import LOCAL
from nasd.domain.measurement import UNITS, Measurement, Outcome, OutcomeKind, Stage
from nasd.ports.lease import Lease, WorkerInfo
from nasd.ports.trials import StudyState
from nasd.store.leadership import PgLeadership
from nasd.store.leases import PgLeaseStore
from nasd.store.listen import listen
from nasd.store.studies import PgStudies
from nasd.store.trials import PgTrialStore
from nasd.telemetry.controller import ControllerTelemetry

SETTINGS = ControllerSettings(poll_s=0.2, takeover_s=0.5)


class Search:
    """Controllers and workers as threads over one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.studies = PgStudies(database.controller)
        self.threads: list[tuple[Thread, Event]] = []

    def controller(self, holder: str = "one") -> Event:
        url, world = self.database.controller, World()
        outside = Outside(
            trials=lambda purpose: PgTrialStore(url, purpose=purpose),
            leadership=lambda: PgLeadership(url),
            caches=lambda: FakeCaches(world),
            queue=lambda: FakeQueue(world),
            listen=partial(listen, url),
            telemetry=ControllerTelemetry(CollectorRegistry()),
            build_parts=toy_parts,
        )
        return self.start(Controller(outside, settings=SETTINGS, holder=holder).run)

    def worker(self, name: str) -> Event:
        return self.start(partial(self._work, name))

    def start(self, target) -> Event:
        stop = Event()
        thread = Thread(target=target, args=(stop,), daemon=True)
        self.threads.append((thread, stop))
        thread.start()
        return stop

    def end(self) -> None:
        for _, stop in self.threads:
            stop.set()
        for thread, _ in self.threads:
            thread.join(timeout=5)
            assert not thread.is_alive()

    def _work(self, name: str, stop: Event) -> None:
        leases = PgLeaseStore(self.database.worker, duration_s=5.0)
        worker = leases.register(WorkerInfo(name=name, host="host", device_kind=LOCAL, stages=tuple(Stage)))
        while not stop.is_set():
            lease = leases.lease_next(worker)
            if lease is None:
                stop.wait(0.002)
            else:
                leases.finish(lease, measured(lease))
        leases.close()


def measured(lease: Lease) -> Outcome:
    values = toy_values(lease.architecture, lease.stage)
    found = tuple(Measurement(name=name, value=value, unit=UNITS[name]) for name, value in values.items())
    return Outcome(kind=OutcomeKind.COMPLETED, measurements=found)


@pytest.fixture
def search(database):
    search = Search(database)
    yield search
    search.end()


def test_a_whole_study_over_the_database_replays_and_has_the_rebuilt_front(search, database, wait_until):
    """The rows are the only truth: from them alone come the same proposals and the same front."""
    id_ = search.studies.create(toy_spec(trials=120, in_flight=None), DATA)
    search.controller()
    search.worker("a")
    search.worker("b")

    wait_until(lambda: search.studies.find("toy").state is StudyState.COMPLETED, limit_s=20)

    study = search.studies.find("toy")
    store = PgTrialStore(database.controller, purpose="test")
    trials, facts = store.history(id_)
    store.close()
    assert len(trials) == 120
    assert replay(StudyMind(toy_parts(study)), trials, facts) == []
    mind = rebuild(toy_parts(study), trials, facts, reference=study.reference)
    stored = database.rows("select trial from nasd.pareto_front where study = 'toy' order by trial")
    assert tuple(number for (number,) in stored) == mind.fronts[LOCAL].members


def test_a_second_controller_goes_on_where_the_first_left(search, wait_until):
    """Restarting the daemon is not an event in the life of a study."""
    search.studies.create(toy_spec(trials=150), DATA)
    first = search.controller("first")
    search.worker("a")
    facts = partial(search.database.rows, "select count(*) from nasd_core.fact")
    wait_until(lambda: facts()[0][0] > 20)
    first.set()

    search.controller("second")

    wait_until(lambda: search.studies.find("toy").state is StudyState.COMPLETED, limit_s=20)
    assert facts() == [(150,)]


def test_counts_over_a_limit_are_learned_without_a_worker(search, wait_until):
    """What breaks an exact limit is never queued, and does not hold up the search."""
    search.studies.create(toy_spec(trials=30, in_flight=2, max_params=3000.0, baselines=False), DATA)
    search.controller()
    search.worker("a")

    wait_until(lambda: search.studies.find("toy").state is StudyState.COMPLETED, limit_s=20)

    rows = search.database.rows(
        "select count(*) filter (where state = 'infeasible' and violation > 0), "
        "count(*) filter (where state = 'completed' and violation = 0) from nasd.trials where study = 'toy'"
    )
    assert sum(rows[0]) == 30
    assert min(rows[0]) > 0
