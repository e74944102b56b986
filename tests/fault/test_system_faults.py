"""Deaths, stops and outages in mid-search, with the times that recovery takes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import psutil
import pytest
import redis
from fault_processes import FAST, LEASE_S, Process
from fault_soundness import assert_study_is_sound
from fault_system import System

from nasd.services import status

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]

Report = Callable[[str, float], None]
HELD = 9
REAP_S = float(FAST["NASD_CONTROLLER__REAP_EVERY_S"])
TAKEOVER_S = float(FAST["NASD_CONTROLLER__TAKEOVER_S"])
BUSY_S = 1.5  # what a busy machine may add to a time that is asserted; the times themselves are reported
ROWS = ("study", "trial", "evaluation", "fact", "front_member", "hypervolume", "event", "leader")


def held_on(system: System, trial: int, **settings: str) -> tuple[Process, Process]:
    """A controller, and a worker that stands in the evaluation of `trial`."""
    system.hold(trial)
    controller, worker = system.controller(), system.worker(**settings)
    system.until_held(trial, worker)
    return controller, worker


def running_attempt(system: System, trial: int) -> int | None:
    rows = system.rows("select e.attempt from nasd.evaluations as e where e.trial = %s and e.state = 'running'", trial)
    return rows[0][0] if rows else None


def endings(system: System, trial: int) -> list[str]:
    rows = system.rows("select ended_how from nasd.attempts where trial = %s order by attempt", trial)
    return [row[0] for row in rows]


def test_a_killed_workers_evaluation_runs_elsewhere_within_one_lease(system: System, report: Report):
    """Nobody has to notice a dead machine and do something."""
    system.create()
    _, victim = held_on(system, HELD)
    other = system.worker()

    victim.kill()

    took = system.until(lambda: running_attempt(system, HELD) == 2, what="a second attempt")
    report("lease_recovery_s", took)
    assert took < LEASE_S + REAP_S + BUSY_S
    system.until_held(HELD, other)
    system.release(HELD)
    system.until_complete()
    assert_study_is_sound(system.database)
    assert endings(system, HELD) == ["expired", "completed"]


@pytest.mark.parametrize("whole_tree", [False, True], ids=["worker alone", "its evaluating process too"])
def test_a_worker_that_sleeps_through_its_lease_is_refused(system: System, whole_tree: bool):
    """A laptop's lid was closed: what it brings afterwards must not overwrite what replaced it.

    The worker alone: its evaluation goes on to the end, and the result comes late. Both: it is told to abandon it.
    """
    system.create()
    _, sleeper = held_on(system, HELD)
    asleep = sleeper.tree() if whole_tree else [sleeper.pid]
    for pid in asleep:
        os.kill(pid, signal.SIGSTOP)
    other = system.worker()
    system.until_held(HELD, other)
    system.release(HELD)
    system.until(lambda: "completed" in endings(system, HELD), what="the other's result")

    sleeper.send(signal.SIGCONT)
    if whole_tree:
        system.until(lambda: "abandon" in sleeper.log.read_text(), what="the order to abandon")
    for pid in asleep[1:]:
        os.kill(pid, signal.SIGCONT)

    if not whole_tree:
        system.until(lambda: "superseded" in endings(system, HELD), what="the late result's refusal")
    system.until_complete()
    assert_study_is_sound(system.database)
    assert endings(system, HELD) == [("expired" if whole_tree else "superseded"), "completed"]
    kept = system.rows("select attempt, status from nasd.measurements where trial = %s order by attempt", HELD)
    late = [] if whole_tree else [(1, "superseded")] * 2
    assert kept == late + [(2, "current")] * 2
    assert sleeper.code is None


def test_a_late_result_is_welcome_while_nobody_else_has_begun(system: System):
    """It is paid for: doing it again would cost as much and find the same."""
    system.create()
    _, sleeper = held_on(system, HELD)
    sleeper.send(signal.SIGSTOP)
    system.until(lambda: endings(system, HELD) == ["expired"], what="the expiry")
    system.release(HELD)

    sleeper.send(signal.SIGCONT)

    system.until_complete()
    assert_study_is_sound(system.database)
    assert len(endings(system, HELD)) in (1, 2)  # it may lease its own evaluation anew before it reports: never both
    assert system.value("select count(*) from nasd_core.evaluation where attempt > 2") == 0


def flush(system: System) -> None:
    admin = redis.from_url(system.services.redis_url("admin"))
    admin.flushall()
    admin.close()


def test_valkey_flushed_again_and_again(system: System):
    """It is a doorbell: what it forgets costs a moment, never a trial."""
    system.create()
    system.controller()
    system.worker()
    for n in range(2, 38, 4):
        system.until_completed(n)
        flush(system)

    system.until_complete()
    assert_study_is_sound(system.database)


def test_valkey_flushed_while_a_worker_drains(system: System):
    """The ring for what it gives back may be lost as well."""
    system.create()
    _, leaving = held_on(system, HELD, NASD_WORKER__DRAIN_S="5.0")
    for pid in leaving.tree()[1:]:
        os.kill(pid, signal.SIGSTOP)  # its evaluation reaches no step boundary meanwhile
    evaluating = leaving.tree()[1:]
    leaving.send(signal.SIGTERM)
    flush(system)
    for pid in evaluating:
        os.kill(pid, signal.SIGCONT)
    flush(system)

    assert leaving.wait() == 0
    flush(system)
    system.release(HELD)
    system.worker()
    system.until_complete()
    assert_study_is_sound(system.database)
    assert endings(system, HELD) == ["given_back", "completed"]


def test_postgres_killed_in_mid_evaluation(mortal_system: System):
    """The worker's result waits for the database, and no attempt is spent on the outage."""
    system = mortal_system
    system.create()
    held_on(system, HELD)
    before = status(system.services.home)
    assert before.postgres_pid is not None

    os.kill(before.postgres_pid, signal.SIGKILL)

    system.release(HELD)
    system.until_complete()
    assert_study_is_sound(system.database)
    assert status(system.services.home).postgres_pid != before.postgres_pid
    assert endings(system, HELD) == ["completed"]


def test_postgres_away_for_longer_than_a_lease(mortal_system: System, wait_until: Callable[..., None]):
    """A lease can't be renewed in a database that is away: its worker must not pay for that."""
    system = mortal_system
    system.create()
    _, worker = held_on(system, HELD)
    servers = status(system.services.home)
    assert servers.postgres_pid is not None
    assert servers.owner_pid is not None
    os.kill(servers.owner_pid, signal.SIGSTOP)  # nobody starts it again
    os.kill(servers.postgres_pid, signal.SIGKILL)
    stopwatch = psutil.Process(worker.pid)
    busy_until = stopwatch.create_time()
    system.release(HELD)
    wait_until(lambda: worker.log.read_text().count("store unreachable") >= 2, limit_s=30, what="a result that waits")
    assert busy_until == stopwatch.create_time()  # the same process all along

    os.kill(servers.owner_pid, signal.SIGCONT)

    system.until_complete()
    assert_study_is_sound(system.database)
    assert endings(system, HELD) == ["completed"]
    assert system.value("select max(spent) from nasd_core.evaluation") == 0


def test_a_standby_takes_over_from_a_killed_leader(system: System, report: Report):
    """Two controllers are one controller that may die."""
    system.create()
    leader = system.controller()
    system.until(lambda: system.value("select holder from nasd_core.leader"), what="a leader")
    system.controller()
    system.worker()
    system.until_completed(8)

    leader.kill()

    took = system.until(lambda: system.value("select epoch from nasd_core.leader") == 2, what="the standby's lead")
    report("takeover_s", took)
    assert took < TAKEOVER_S * 1.5 + BUSY_S
    system.until_complete()
    assert_study_is_sound(system.database)


def test_a_resigning_leader_makes_room_at_once(system: System, report: Report):
    """A rolling restart must not cost the time-out."""
    system.create()
    leader = system.controller()
    system.until(lambda: system.value("select holder from nasd_core.leader"), what="a leader")
    system.controller()
    system.worker()
    system.until_completed(8)

    leader.send(signal.SIGTERM)

    report("handover_s", system.until(lambda: system.value("select epoch from nasd_core.leader") == 2))
    assert leader.wait() == 0
    system.until_complete()
    assert_study_is_sound(system.database)


def contents(system: System) -> dict[str, list[tuple]]:
    """Every row that a controller could have written, with the transaction that wrote it last; without used time."""
    return {
        name: system.rows(f"select xmin::text, to_jsonb(t) - 'used_s' from nasd_core.{name} as t order by to_jsonb(t)")
        for name in ROWS
        if name != "study"
    } | {"study": system.rows("select to_jsonb(t) - 'used_s' from nasd_core.study as t")}


@pytest.mark.parametrize(
    "point",
    [
        "planner.before_apply",
        "planner.after_finished",
        "leader.before_beat",
        "store.apply.before_commit",  # with the leader's row locked
    ],
)
def test_a_leader_that_stood_still_and_was_deposed_writes_nothing(system: System, report: Report, point: str):
    """A suspended virtual machine wakes up with a step in its hands that another controller has taken meanwhile."""
    system.create(in_flight=1)
    system.hold(14)
    sleeper = system.controller(f"{point}@7:stop")
    system.until(lambda: system.value("select holder from nasd_core.leader"), what="a leader")
    worker = system.worker()
    system.until(
        lambda: psutil.Process(sleeper.pid).status() == psutil.STATUS_STOPPED, what="the leader standing still"
    )
    successor = system.controller()
    took = system.until(lambda: system.value("select epoch from nasd_core.leader") == 2, what="the successor's lead")
    report("deposed_after_s", took)
    system.until_held(14, worker)
    before = contents(system)

    sleeper.send(signal.SIGCONT)

    system.until(lambda: " deposed " in sleeper.log.read_text(), what="the old leader's insight")
    assert contents(system) == before
    successor.kill()
    system.until(
        lambda: system.value("select epoch from nasd_core.leader") == 3, what="its lead as an ordinary standby"
    )
    assert sleeper.code is None
    system.release(14)
    system.until_complete()
    assert_study_is_sound(system.database)
