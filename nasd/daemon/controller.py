"""Controller: stands by, and while it leads runs the four loops and the listener as threads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

from nasd.config import ControllerSettings
from nasd.controller.mind import Parts
from nasd.daemon.board import Board
from nasd.daemon.housekeeper import Housekeeper
from nasd.daemon.leader import Leader
from nasd.daemon.loop import Loop, backoff_s, run_loop
from nasd.daemon.parts import build_parts
from nasd.daemon.planner import Planner, PlannerTools
from nasd.daemon.reaper import Reaper
from nasd.daemon.reporter import Reporter
from nasd.daemon.stager import Stager
from nasd.ports.cache import CacheStore
from nasd.ports.clock import Clock, SystemClock
from nasd.ports.fleet import FleetStore
from nasd.ports.queue import Queue
from nasd.ports.trials import Leadership, Study, TrialStore
from nasd.telemetry.controller import ControllerTelemetry

log = logging.getLogger(__name__)

Listen = Callable[[Callable[[str], None], Event], None]

DRAIN_S = 1.8  # of the 2 s in which `run` returns


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a controller is wired to. Each factory makes a connection of its own: one a loop.

    Attributes:
        trials, fleet: given the loop's name, for the connection's title.
        listen: blocks, calling its first argument with each notification, until the event is set.
        build_parts: space, strategy and baselines of a study.
        tidy: removes artifacts that nothing needs where room grows short; how many.
    """

    trials: Callable[[str], TrialStore]
    fleet: Callable[[str], FleetStore]
    leadership: Callable[[], Leadership]
    caches: Callable[[], CacheStore]
    queue: Callable[[], Queue]
    listen: Listen
    telemetry: ControllerTelemetry
    build_parts: Callable[[Study], Parts] = build_parts
    tidy: Callable[[], int] = lambda: 0
    clock: Clock = field(default_factory=SystemClock)


class Controller:
    """Serves all studies that are running or paused, until told to stop."""

    def __init__(self, outside: Outside, *, settings: ControllerSettings, holder: str) -> None:
        self._outside, self._settings = outside, settings
        self._leader = Leader(outside.leadership, holder=holder, clock=outside.clock, takeover_s=settings.takeover_s)

    def run(self, stop: Event) -> None:
        """Stand by, lead, and stand by again after being deposed; returns within 2 s of `stop`."""
        while not stop.is_set():
            epoch = self._leader.stand_by(stop)
            if epoch is None:
                break
            self._lead(epoch, stop)
        self._leader.close()

    def _lead(self, epoch: int, stop: Event) -> None:
        ended, wake = Event(), Event()
        telemetry = self._outside.telemetry
        telemetry.leading(True)
        threads = self._start(epoch, ended=ended, wake=wake)
        try:
            self._leader.lead(epoch, ended=ended, stop=stop)
        finally:
            ended.set()
            wake.set()
            self._join(threads)
            telemetry.leading(False)
            self._leader.resign(epoch)

    def _start(self, epoch: int, *, ended: Event, wake: Event) -> list[Thread]:
        planner = self._planner(epoch)

        def told(payload: str) -> None:
            planner.told(payload)
            wake.set()

        def loop(each: Loop, its_wake: Event | None = None) -> Thread:
            arguments = {
                "ended": ended,
                "clock": self._outside.clock,
                "on_deposed": ended.set,
                "on_failed": self._outside.telemetry.loop_failed,
                "wake": its_wake,
            }
            return Thread(target=run_loop, args=(each,), kwargs=arguments, name=each.name, daemon=True)

        threads = [
            Thread(target=self._listen, args=(told, ended), name="listener", daemon=True),
            loop(planner, wake),
            *(loop(each) for each in self._others(epoch, planner.board, told)),
        ]
        for thread in threads:
            thread.start()
        return threads

    def _trials(self, purpose: str) -> Callable[[], TrialStore]:
        return lambda: self._outside.trials(purpose)

    def _planner(self, epoch: int) -> Planner:
        outside = self._outside
        tools = PlannerTools(
            trials=self._trials(Planner.name),
            caches=outside.caches,
            queue=outside.queue,
            build_parts=outside.build_parts,
            board=Board(),
            clock=outside.clock,
            telemetry=outside.telemetry,
            settings=self._settings,
        )
        return Planner(tools, epoch=epoch)

    def _others(self, epoch: int, board: Board, told: Callable[[str], None]) -> tuple[Loop, ...]:
        outside, settings = self._outside, self._settings
        reaper = Reaper(
            self._trials(Reaper.name),
            epoch=epoch,
            clock=outside.clock,
            telemetry=outside.telemetry,
            every_s=settings.reap_every_s,
            on_expired=lambda: told("expired"),
        )
        stager = Stager(
            lambda: outside.fleet(Stager.name),
            outside.queue,
            epoch=epoch,
            board=board,
            telemetry=outside.telemetry,
            every_s=settings.sweep_every_s,
        )
        reporter = Reporter(
            outside.caches,
            outside.queue,
            board=board,
            clock=outside.clock,
            telemetry=outside.telemetry,
            every_s=settings.report_every_s,
        )
        return reaper, stager, reporter, Housekeeper(outside.tidy, every_s=settings.tidy_every_s)

    def _listen(self, told: Callable[[str], None], ended: Event) -> None:
        n_failures = 0
        while not ended.is_set():
            try:
                self._outside.listen(told, ended)
                n_failures = 0
            except Exception:  # an outermost seam: without notifications the planner still polls
                n_failures += 1
                log.exception("listening failed", extra={"fields": {"failures": n_failures}})
            self._outside.clock.wait(ended, backoff_s(max(1, n_failures)))

    def _join(self, threads: list[Thread]) -> None:
        """Wait for the present ticks; one that hangs in a dead connection does not hold up the rest."""
        deadline = self._outside.clock.monotonic() + DRAIN_S
        for thread in threads:
            thread.join(timeout=max(0.0, deadline - self._outside.clock.monotonic()))
            if thread.is_alive():
                log.warning("a loop did not end in time", extra={"fields": {"loop": thread.name}})
