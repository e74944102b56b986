"""Short evaluations are leased and reported in bundles: a death in one loses no more than a single one does."""

from __future__ import annotations

import signal

import pytest
from fault_soundness import assert_study_is_sound
from fault_system import System

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]

TRIALS = 80
LONG = 45  # a trial that turns out long, in the middle of a bundle

POINTS = (
    "worker.after_lease@25",
    "worker.after_lease@31",
    "worker.before_exchange@3",
    "worker.before_exchange@6",
    "worker.after_exchange@3",
    "worker.after_exchange@6",
)


def is_bundling(system: System) -> bool:
    """Several evaluations were leased in one transaction."""
    most = (
        "select max(n) from (select count(*) as n from nasd_core.event where kind = 'leased' group by xmin::text) as x"
    )
    return int(str(system.value(most))) > 1


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_in_a_bundle_loses_nothing(system: System, point: str):
    """What it had finished and not reported is done again; what it had not begun is done by another."""
    system.create(trials=TRIALS, in_flight=24, function="swift")
    system.controller()

    assert system.worker(point).wait() == -signal.SIGKILL
    system.worker()

    system.until_complete()
    assert is_bundling(system)
    assert_study_is_sound(system.database, trials=TRIALS)


@pytest.mark.parametrize("point", ["worker.before_give_back", "worker.after_give_back"])
def test_a_worker_killed_while_it_dissolves_a_bundle(system: System, point: str):
    """One of the bundle turned out long, and the rest was being given back."""
    long = range(20, TRIALS, 12)  # the first of them that is not the last of its bundle
    system.create(trials=TRIALS, in_flight=24, function="swift")
    for trial in long:
        system.hold(trial)
    system.controller()
    worker = system.worker(point)

    for trial in long:
        system.until(lambda trial=trial: worker.code is not None or system.is_held(trial, worker), what="a gate")
        if not worker.ends_within(0.7):
            system.release(trial)
    assert worker.code == -signal.SIGKILL
    for gate in system.gates.glob("hold-*"):
        gate.unlink()
    system.worker()

    system.until_complete()
    assert_study_is_sound(system.database, trials=TRIALS)


def test_a_long_evaluation_holds_back_nothing_of_its_bundle(system: System):
    """The others are reported at once, or given to whoever is idle."""
    system.create(trials=TRIALS, in_flight=24, function="swift")
    system.hold(LONG)
    system.controller()
    worker = system.worker()
    system.until_held(LONG, worker)
    system.worker()

    system.until_completed(TRIALS - 1)

    assert is_bundling(system)
    assert system.rows("select distinct trial from nasd.evaluations where state = 'running'") == [(LONG,)]
    system.release(LONG)
    system.until_complete()
    assert_study_is_sound(system.database, trials=TRIALS)
    assert system.value("select max(spent) from nasd_core.evaluation") == 0
