"""Everything on one machine: services, one controller, N workers, until the study's budget is used."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Event

from nasd.app.endpoints import Endpoints
from nasd.app.family import Family, Member
from nasd.app.fleet import Crew
from nasd.errors import Unavailable, UserError
from nasd.ports.trials import Study, StudyState
from nasd.store.connect import DatabaseAway
from nasd.store.studies import PgStudies
from nasd.usercode import controller_packages_of, packages_of

DRAIN_S = 9.5
TICK_S = 0.25
LEAVE_S = 1.0


class Ended(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"  # by an operator, elsewhere
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Stops:
    """Set from signal handlers: the first Ctrl-C drains, the second ends everything now."""

    drain: Event
    now: Event

    def request(self) -> None:
        (self.now if self.drain.is_set() else self.drain).set()


def default_workers() -> int:
    """One worker a core that this process may use: one candidate a core with one thread each trains fastest."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    study: Study,
    endpoints: Endpoints,
    *,
    crew: Crew,
    folder: Path,
    stops: Stops,
    on_tick: Callable[[Family], None],
) -> Ended:
    """Start the family and stay until the study ends or a stop is requested; nothing runs afterwards.

    Controller and workers may run the code that the study names: whoever runs a study file means what stands in it.

    Args:
        crew: the workers.
        folder: of the study file, where the user's packages and files are.

    Raises:
        Unavailable: a child does not stay up.
    """
    if study.state not in (StudyState.RUNNING, StudyState.PAUSED):
        return Ended.COMPLETED if study.state is StudyState.COMPLETED else Ended.STOPPED
    keep = () if endpoints.services is None else (endpoints.services.lock_fd,)
    family, studies = Family(keep_fds=keep), PgStudies(endpoints.database["controller"])
    try:
        _start(family, study, endpoints, crew=crew, folder=folder)
        state = _watch(family, study, studies, endpoints, stops=stops, on_tick=on_tick)
    except BaseException:
        family.kill()
        raise
    _drain(family, stops)
    if state is None:
        _pause(study, studies)
        return Ended.INTERRUPTED
    return Ended.COMPLETED if state is StudyState.COMPLETED else Ended.STOPPED


def _start(family: Family, study: Study, endpoints: Endpoints, *, crew: Crew, folder: Path) -> None:
    users = [word for package in packages_of(study.spec) for word in ("--allow", package)]
    ahead = [word for package in controller_packages_of(study.spec) for word in ("--allow", package)]
    logs = endpoints.home / "logs"
    family.add(
        Member(
            name="the controller",
            arguments=["controller", *ahead, *(["--folder", str(folder)] if ahead else [])],
            environment=endpoints.environment("controller"),
            log=logs / f"{study.name}-controller.log",
        )
    )
    for number, hand in enumerate(crew.hands, 1):
        family.add(
            Member(
                name=hand.name,
                arguments=["worker", "--study", study.name, *hand.arguments, *users, "--folder", str(folder)],
                environment={**endpoints.environment("worker"), **hand.environment},
                log=logs / f"{study.name}-worker-{number}.log",
                cores=hand.cores,
                quota=hand.quota,
            )
        )


def _watch(
    family: Family,
    study: Study,
    studies: PgStudies,
    endpoints: Endpoints,
    *,
    stops: Stops,
    on_tick: Callable[[Family], None],
) -> StudyState | None:
    """The state the study ended in; None where a stop was requested before."""
    looked_at = 0.0
    while not stops.drain.wait(TICK_S):
        family.mend()
        on_tick(family)
        if time.monotonic() - looked_at < 2 * TICK_S:
            continue
        looked_at = time.monotonic()
        state = _state(study, studies, endpoints)
        if state in (StudyState.COMPLETED, StudyState.STOPPED):
            return state
    return None


def _state(study: Study, studies: PgStudies, endpoints: Endpoints) -> StudyState | None:
    """None while the database is away; where the embedded pair lost its owner it is started again."""
    try:
        found = studies.find(study.name)
    except (DatabaseAway, Unavailable):
        if endpoints.services is not None:
            with contextlib.suppress(Unavailable):  # it says why in its log, and the next look tries again
                endpoints.services.revive()
        return None
    return StudyState.STOPPED if found is None else found.state


def _pause(study: Study, studies: PgStudies) -> None:
    """Say in the study's row that nobody works on it, unless another run's controller goes on with it."""
    deadline = time.monotonic() + LEAVE_S
    with contextlib.suppress(DatabaseAway, UserError):  # it ended meanwhile, or is away: rows say what is left
        while studies.n_controllers() > 0:  # the server takes a moment to see that our own has gone
            if time.monotonic() > deadline:
                return
            time.sleep(TICK_S / 5)
        studies.pause(study.name, "interrupted; run it again to go on")


def _drain(family: Family, stops: Stops) -> None:
    """Let all leave within ten seconds, or end them at once when asked a second time."""
    family.ask_to_leave()
    deadline = time.monotonic() + DRAIN_S
    while not family.is_gone and time.monotonic() < deadline and not stops.now.wait(0.05):
        pass
    family.kill()
