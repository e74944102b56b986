"""Controller, workers, Postgres, Valkey and their owner killed with SIGKILL in every combination, in mid-search.

Twenty enumerated disasters over two workers with look-ahead. Where the controller is among the victims it dies at a
point of its own source, and the others die in the same instant; without it they die after the k-th result.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from itertools import combinations

import pytest
from fault_processes import Process
from fault_soundness import assert_study_is_sound
from fault_system import System

from nasd.services import status

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120)]

TRIALS = 60
PARTS = ("controller", "worker", "postgres", "valkey")
POINTS = (
    "planner.after_apply",
    "store.apply.before_commit",
    "planner.before_apply",
    "planner.after_ring",
    "store.apply.after_fence",
    "planner.after_finished",
)


@dataclass(frozen=True)
class Blow:
    """Who dies at once, and when.

    Attributes:
        after: results that are in, or steps that the planner has taken.
        point: where the controller dies, if it does.
    """

    victims: tuple[str, ...]
    after: int
    point: str

    def __str__(self) -> str:
        at = f"@{self.point}" if "controller" in self.victims else ""
        return f"{'+'.join(self.victims)}{at}@{self.after}"


def _moment(number: int, victims: tuple[str, ...]) -> int:
    """Another one for each: results, or the planner's steps, which are fewer where results come together."""
    return 2 + number % 6 if "controller" in victims else 4 + 2 * number


def _disasters() -> list[tuple[Blow, ...]]:
    subsets = [subset for n in range(1, len(PARTS) + 1) for subset in combinations(PARTS, n)]
    single = [
        (Blow(victims, after=_moment(number, victims), point=POINTS[number % len(POINTS)]),)
        for number, victims in enumerate(subsets)
    ]
    return [
        *single,
        (Blow(("owner",), 7, ""),),
        (Blow(("controller", "worker", "owner"), 6, "store.apply.before_commit"),),
        (Blow(("controller", "worker"), 5, "planner.after_apply"), Blow(("controller",), 4, "planner.after_rebuild")),
        (Blow(("postgres", "valkey"), 6, ""), Blow(("worker", "postgres"), 18, "")),
        (Blow(PARTS, 5, "planner.before_apply"), Blow(PARTS, 5, "planner.after_apply")),
    ]


DISASTERS = _disasters()


def test_there_are_twenty_and_every_subset_is_among_them():
    """Enumerated, not sampled."""
    assert len(DISASTERS) == 20
    assert len({blows[0].victims for blows in DISASTERS if "owner" not in blows[0].victims}) == 2 ** len(PARTS) - 1


@pytest.mark.parametrize("blows", DISASTERS, ids=lambda blows: ",".join(map(str, blows)))
def test_nothing_is_lost_doubled_or_changed_by(mortal_system: System, blows: tuple[Blow, ...]):
    """Whatever dies, the search ends with its exact budget, and its rows alone explain every proposal."""
    system = mortal_system
    system.create(trials=TRIALS, in_flight=6)
    workers = [system.worker(), system.worker()]
    controller = system.controller(_killpoint(blows[0]))

    for number, blow in enumerate(blows):
        _strike(system, blow, controller, workers)
        following = blows[number + 1] if number + 1 < len(blows) else None
        workers = [process if process.code is None else system.worker() for process in workers]
        if controller.code is not None:
            controller = system.controller(None if following is None else _killpoint(following))

    system.until_complete()
    assert_study_is_sound(system.database, trials=TRIALS)


def _killpoint(blow: Blow) -> str | None:
    if "controller" not in blow.victims:
        return None
    nth = 1 if blow.point == "planner.after_rebuild" else blow.after
    return f"{blow.point}@{nth}"


def _strike(system: System, blow: Blow, controller: Process, workers: list[Process]) -> None:
    """Kill the victims in one instant; in the place of `nasd run`, see that a killed owner is replaced."""
    home = system.services.home
    system.until(lambda: status(home).is_ready, what="both servers")
    if "controller" in blow.victims:
        assert controller.wait() == -signal.SIGKILL
    else:
        system.until_completed(blow.after)
    servers = status(home)
    pids = {
        "worker": workers[0].pid,
        "postgres": servers.postgres_pid,
        "valkey": servers.valkey_pid,
        "owner": servers.owner_pid,
    }
    for victim in blow.victims:
        pid = pids.get(victim)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if "worker" in blow.victims:
        assert workers[0].wait() == -signal.SIGKILL
    if "owner" in blow.victims:
        system.until(lambda: not status(home).is_running, what="the owner's end")
        system.services.revive()
