"""The controller's threads over in-memory rows: leading, standing by, surviving an outage, draining."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread

import pytest
from fakes_fleet import FakeFleetStore
from fakes_trials import FakeCaches, FakeLeadership, FakeQueue, FakeTrialStore, live_worker
from fakes_world import World
from prometheus_client import CollectorRegistry
from toy_study import toy_parts, toy_spec, toy_study, toy_values

from nasd.config import ControllerSettings
from nasd.controller.mind import Parts, StudyMind
from nasd.controller.replay import replay
from nasd.daemon.controller import Controller, Outside
from nasd.domain.lifecycle import State
from nasd.errors import UserError
from nasd.ports.trials import Study, StudyState
from nasd.telemetry.controller import ControllerTelemetry

SETTINGS = ControllerSettings(
    poll_s=0.05, reap_every_s=0.02, sweep_every_s=0.05, report_every_s=0.05, takeover_s=0.3, cache_every=5
)


def until(condition: Callable[[], bool], *, limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


class Rig:
    """A world with controllers and one worker as threads."""

    def __init__(self) -> None:
        self.world = World()
        self.registry = CollectorRegistry()
        self.told: list[Callable[[str], None]] = []
        self.stops: list[Event] = []
        self.threads: list[Thread] = []
        self.parts = toy_parts  # a test may put another builder here

    def controller(self, holder: str = "one", *, telemetry: ControllerTelemetry | None = None) -> Event:
        outside = Outside(
            trials=lambda _purpose: FakeTrialStore(self.world),
            fleet=lambda _purpose: FakeFleetStore(self.world),
            leadership=lambda: FakeLeadership(self.world),
            caches=lambda: FakeCaches(self.world),
            queue=lambda: FakeQueue(self.world),
            listen=self._listen,
            telemetry=telemetry or ControllerTelemetry(self.registry if not self.stops else CollectorRegistry()),
            build_parts=self._parts,
        )
        stop = Event()
        self._start(Controller(outside, settings=SETTINGS, holder=holder).run, stop)
        return stop

    def worker(self) -> Event:
        stop = Event()
        self.world.live.append(live_worker())
        self._start(self._work, stop)
        return stop

    def end(self) -> None:
        for stop in self.stops:
            stop.set()
        for thread in self.threads:
            thread.join(timeout=5)
            assert not thread.is_alive()

    def state(self, study: int = 1) -> StudyState:
        return self.world.rows[study].study.state

    def _start(self, target: Callable[[Event], None], stop: Event) -> None:
        thread = Thread(target=target, args=(stop,), daemon=True)
        self.stops.append(stop)
        self.threads.append(thread)
        thread.start()

    def _parts(self, study: Study) -> Parts:
        return self.parts(study)

    def _listen(self, told: Callable[[str], None], stop: Event) -> None:
        self.told.append(told)
        stop.wait()
        self.told.remove(told)

    def _work(self, stop: Event) -> None:
        while not stop.is_set():
            row = None if self.world.away else self.world.lease()
            if row is None:
                stop.wait(0.002)
                continue
            architecture = self.world.rows[row.study].trials[row.number].new.proposal.architecture
            with self.world.lock:
                if row.state is State.RUNNING:
                    self.world.finish(row, toy_values(architecture, row.new.stage, round_=row.new.round))
            for told in tuple(self.told):
                told(str(row.study))


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.end()


def test_a_study_runs_to_its_end_and_replays(rig):
    """The whole life: propose, ring, finish, learn, score, end; and the rows explain every proposal."""
    study = toy_study(toy_spec(trials=40, in_flight=None))
    rig.world.add(study)
    rig.controller()
    rig.worker()
    until(lambda: rig.state() is StudyState.COMPLETED)
    row = rig.world.rows[1]
    assert len(row.trials) == 40
    assert row.reason == "its budget of 40 trials is used"
    assert row.study.reference.keys() == {"local"}
    assert row.fronts[-1].hypervolume > 0
    trials, facts = FakeTrialStore(rig.world).history(study.id)
    assert replay(StudyMind(toy_parts(study)), trials, facts) == []
    assert rig.world.rings["local"] > 0
    until(lambda: len(rig.world.caches) == 1)


def test_a_tick_costs_two_transactions_whatever_the_history(rig):
    """Statements per fact must not grow: that is what keeps long studies as fast as short ones."""
    rig.world.add(toy_study(toy_spec(trials=60, in_flight=1, use="random")))
    rig.controller()
    rig.worker()
    until(lambda: rig.state() is StudyState.COMPLETED)
    assert rig.world.n_calls["history"] == 1
    assert rig.world.n_calls["apply"] <= 62 + 2


def test_a_standby_takes_over_when_the_leader_stands_still(rig):
    """A controller that was paused or killed must not end the search."""
    rig.world.add(toy_study(toy_spec(trials=15)))
    FakeLeadership(rig.world).take("the dead", depose=None)
    rig.controller("standby")
    rig.worker()
    until(lambda: rig.state() is StudyState.COMPLETED)
    assert rig.world.epoch == 2


def test_of_two_controllers_one_acts_and_the_other_follows_when_it_leaves(rig):
    """Two that act would record two searches; after a clean stop nobody waits for a takeover."""
    rig.world.add(toy_study(toy_spec(trials=500)))
    first = rig.controller("first")
    until(lambda: rig.world.holder == "first")
    rig.controller("second")
    rig.worker()
    until(lambda: len(rig.world.rows[1].facts) > 5)
    first.set()
    until(lambda: rig.world.holder == "second")
    n_facts = len(rig.world.rows[1].facts)
    until(lambda: len(rig.world.rows[1].facts) > n_facts + 5)


def test_a_controller_stops_within_two_seconds_and_leaves_the_row_free(rig):
    """`docker stop` and Ctrl-C must be quick."""
    rig.world.add(toy_study(toy_spec(trials=100_000)))
    stop = rig.controller()
    rig.worker()
    until(lambda: len(rig.world.rows[1].facts) > 3)
    began = time.monotonic()
    stop.set()
    rig.threads[0].join(timeout=5)
    assert time.monotonic() - began < 2.0
    assert rig.world.holder is None


def test_an_outage_of_the_database_costs_seconds_not_results(rig):
    """Postgres restarts; the study goes on from its rows."""
    rig.world.add(toy_study(toy_spec(trials=400, in_flight=2)))
    rig.controller()
    rig.worker()
    until(lambda: len(rig.world.rows[1].facts) > 10)
    rig.world.away = True
    until(lambda: rig.registry.get_sample_value("nasd_loop_failures_total", {"loop": "planner"}) is not None)
    rig.world.away = False
    until(lambda: rig.state() is StudyState.COMPLETED)
    assert len(rig.world.rows[1].trials) == 400
    assert rig.world.n_calls["history"] >= 2


def test_a_worker_that_stands_still_loses_its_lease(rig):
    """Its work is done by another; the study ends."""
    rig.world.add(toy_study(toy_spec(trials=4)))
    rig.controller()
    until(lambda: rig.world.lease() is not None)  # leased by nobody who renews
    rig.worker()
    until(lambda: rig.state() is StudyState.COMPLETED)
    assert {trial.state for trial in rig.world.rows[1].trials} == {State.COMPLETED}


def test_a_paused_study_learns_but_proposes_nothing_and_resumes(rig):
    """Pausing must not lose what is in flight."""
    study = rig.world.add(toy_study(toy_spec(trials=10_000)))
    rig.controller()
    rig.worker()
    until(lambda: len(rig.world.rows[1].facts) > 3)
    rig.world.set_study(study, state=StudyState.PAUSED)
    row = rig.world.rows[1]
    until(lambda: len(row.facts) == len(row.trials))
    n_trials = len(row.trials)
    rig.world.set_study(study, state=StudyState.RUNNING)
    until(lambda: len(row.trials) > n_trials + 3)


def test_a_raised_budget_goes_on_where_the_search_was(rig):
    """The user edits one number and runs the same command again."""
    spec = toy_spec(trials=5)
    study = rig.world.add(toy_study(spec))
    rig.controller()
    rig.worker()
    until(lambda: rig.state() is StudyState.COMPLETED)
    raised = replace(spec, budget=replace(spec.budget, trials=9))
    rig.world.set_study(study, spec=raised, state=StudyState.RUNNING)
    until(lambda: rig.state() is StudyState.COMPLETED)
    assert len(rig.world.rows[1].trials) == 9


def test_a_time_budget_ends_the_study_with_its_reason(rig):
    """Time is accounted for while leading; what is in flight is finished."""
    rig.world.add(toy_study(toy_spec(trials=None, time_s=0.5)))
    rig.controller()
    rig.worker()
    until(lambda: rig.state() is StudyState.COMPLETED)
    row = rig.world.rows[1]
    assert row.reason == "its time budget of 0.5 s is used"
    assert row.study.used_s >= 0.5
    assert all(trial.state is State.COMPLETED for trial in row.trials)


def test_a_study_that_this_program_cannot_serve_is_stopped_with_a_sentence(rig):
    """Not a traceback a second, for ever; the other study is served."""

    def parts(study):
        if study.name == "odd":
            raise UserError("study odd: its space is not known here")
        return toy_parts(study)

    rig.parts = parts
    rig.world.add(toy_study(toy_spec(name="odd"), id_=1))
    rig.world.add(toy_study(toy_spec(trials=5), id_=2))
    rig.controller()
    rig.worker()
    until(lambda: rig.state(2) is StudyState.COMPLETED)
    assert rig.state(1) is StudyState.STOPPED
    assert rig.world.rows[1].reason == "study odd: its space is not known here"


def test_another_strategy_version_may_not_continue_a_study(rig):
    """Its proposals could not be replayed."""
    rig.world.add(replace(toy_study(toy_spec()), strategy_version="nsga2-0"))
    rig.controller()
    until(lambda: rig.state() is StudyState.STOPPED)
    assert "nsga2-0" in rig.world.rows[1].reason


def test_a_defect_in_one_study_leaves_the_others_alone(rig):
    """One study's failing strategy must not stop the daemon."""

    def parts(study):
        if study.name == "odd":
            raise ZeroDivisionError
        return toy_parts(study)

    rig.parts = parts
    rig.world.add(toy_study(toy_spec(name="odd"), id_=1))
    rig.world.add(toy_study(toy_spec(trials=5), id_=2))
    rig.controller()
    rig.worker()
    until(lambda: rig.state(2) is StudyState.COMPLETED)
    assert rig.state(1) is StudyState.RUNNING
