"""A search that is killed anywhere goes on exactly where it was: the same proposals, the same results, to the last bit.

One worker and one trial in flight leave nothing to chance, so a search killed at any point of the source must leave
the very rows of one that nobody disturbed. Every point is enumerated, for the controller and for the worker.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from database import Database, copy_of
from fault_processes import Launcher
from fault_soundness import assert_study_is_sound, proposals
from fault_system import System, system_over

from nasd.domain.killpoints import KILLPOINTS
from nasd.services import Services

pytestmark = pytest.mark.fault

TRIALS = 30
HELD = 9  # the trial at whose evaluation a worker is killed or drained

# Where a point lies in the middle of a search and not at its beginning: who dies how before it is reached.
DEATHS: dict[str, tuple[str, ...]] = {
    "leader.before_take": ("planner.after_apply@8", "leader.before_take"),
    "leader.after_take": ("planner.after_apply@8", "leader.after_take"),
    "planner.before_rebuild": ("planner.after_apply@8", "planner.before_rebuild"),
    "planner.after_rebuild": ("planner.after_apply@8", "planner.after_rebuild"),
    "planner.before_finished": ("planner.before_finished@13",),
    "planner.after_finished": ("planner.after_finished@13",),
    "planner.before_apply": ("planner.before_apply@7",),
    "planner.after_apply": ("planner.after_apply@7",),
    "planner.after_ring": ("planner.after_ring@7",),
    "store.apply.after_fence": ("store.apply.after_fence@7",),
    "store.apply.before_commit": ("store.apply.before_commit@7",),
    "reporter.before_save": ("reporter.before_save@2",),
    "reporter.after_save": ("reporter.after_save@2",),
}
EXPIRING = {"reaper.before_expire", "reaper.after_expire", "reaper.after_commit", "store.expire.before_commit"}
RESIGNING = {"leader.before_resign", "leader.after_resign"}
GIVING_BACK = {"worker.before_give_back", "worker.after_give_back"}
OF_CONTROLLER = [name for name in KILLPOINTS if not name.startswith("worker.")]
OF_WORKER = [name for name in KILLPOINTS if name.startswith("worker.")]


@pytest.fixture(scope="module")
def undisturbed(
    launcher: Launcher, services: Services, database_template: str, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple]:
    """What the search decides and finds when nothing happens to it."""
    urls = {role: services.database_url(role) for role in ("controller", "worker", "reader")}
    folder: Path = tmp_path_factory.mktemp("undisturbed")
    with (
        copy_of(database_template, services.database_url("admin"), urls) as database,
        system_over(launcher, services, database, folder) as system,
    ):
        system.create(trials=TRIALS, in_flight=1)
        system.worker()
        system.controller()
        system.until_complete()
        assert_study_is_sound(database, trials=TRIALS)
        return proposals(database)


def assert_exact(database: Database, undisturbed: list[tuple]) -> None:
    assert_study_is_sound(database, trials=TRIALS)
    assert proposals(database) == undisturbed


@pytest.mark.parametrize("point", [name for name in OF_CONTROLLER if name not in EXPIRING | RESIGNING])
def test_a_controller_killed_anywhere_is_continued_exactly(system: System, undisturbed: list[tuple], point: str):
    """The next controller reads rows and nothing else."""
    system.create(trials=TRIALS, in_flight=1)
    system.worker()

    for killpoint in DEATHS.get(point, (f"{point}@3",)):
        assert system.controller(killpoint).wait() == -signal.SIGKILL
    system.controller()

    system.until_complete()
    assert_exact(system.database, undisturbed)


@pytest.mark.parametrize("point", sorted(EXPIRING))
def test_a_controller_killed_while_it_takes_a_dead_workers_lease_back(
    system: System, undisturbed: list[tuple], point: str
):
    """Half an expiry must not strand the evaluation, nor spend two attempts on one death."""
    system.create(trials=TRIALS, in_flight=1)
    system.hold(HELD)
    first = system.controller()
    worker = system.worker()
    system.until_held(HELD, worker)
    worker.kill()
    system.release(HELD)
    first.kill()

    assert system.controller("reaper.before_expire@8" if point == "reaper.before_expire" else point).wait() == -9
    system.worker()
    system.controller()

    system.until_complete()
    assert_exact(system.database, undisturbed)
    spent = system.value("select max(spent) from nasd_core.evaluation")
    assert spent == 1


@pytest.mark.parametrize("point", sorted(RESIGNING))
def test_a_controller_killed_while_it_leaves(system: System, undisturbed: list[tuple], point: str):
    """`docker stop` may lose its patience in mid-resignation."""
    system.create(trials=TRIALS, in_flight=1)
    system.worker()
    leaving = system.controller(point)
    system.until_completed(8)

    leaving.send(signal.SIGTERM)
    assert leaving.wait() == -signal.SIGKILL
    system.controller()

    system.until_complete()
    assert_exact(system.database, undisturbed)


@pytest.mark.parametrize("point", [name for name in OF_WORKER if name not in GIVING_BACK])
def test_a_worker_killed_anywhere_loses_nothing(system: System, undisturbed: list[tuple], point: str):
    """Its evaluation is done again by another, or was stored already and is not done twice."""
    system.create(trials=TRIALS, in_flight=1)
    system.controller()

    assert system.worker(f"{point}@7").wait() == -signal.SIGKILL
    system.worker()

    system.until_complete()
    assert_exact(system.database, undisturbed)


@pytest.mark.parametrize("point", sorted(GIVING_BACK))
def test_a_worker_killed_while_it_gives_its_work_back(system: System, undisturbed: list[tuple], point: str):
    """Given back or not, the evaluation is done by the next worker."""
    system.create(trials=TRIALS, in_flight=1)
    system.hold(HELD)
    system.controller()
    leaving = system.worker(point)
    system.until_held(HELD, leaving)

    leaving.send(signal.SIGTERM)
    assert leaving.wait() == -signal.SIGKILL
    system.release(HELD)
    system.worker()

    system.until_complete()
    assert_exact(system.database, undisturbed)


def test_a_worker_that_drains_gives_its_work_back_without_spending_an_attempt(
    system: System, undisturbed: list[tuple], report: Callable[[str, float], None]
):
    """Workers may come and go as their owners like; the search does not notice."""
    system.create(trials=TRIALS, in_flight=1)
    system.hold(HELD)
    system.controller()
    leaving = system.worker()
    system.until_held(HELD, leaving)

    leaving.send(signal.SIGTERM)
    report("drain_s", system.until(lambda: leaving.code is not None, what="the worker's end"))
    assert leaving.code == 0
    system.release(HELD)
    system.worker()

    system.until_complete()
    assert_exact(system.database, undisturbed)
    assert system.value("select max(spent) from nasd_core.evaluation") == 0
