"""The reporter: gauges, stall messages and strategies' caches. Nothing that it does is needed to resume."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nasd.controller.stall import stall_reason
from nasd.daemon.board import Board
from nasd.daemon.loop import Connected
from nasd.domain.ids import ANYWHERE
from nasd.domain.killpoints import killpoint
from nasd.ports.cache import CacheStore
from nasd.ports.clock import Clock
from nasd.ports.queue import Queue
from nasd.telemetry.controller import ControllerTelemetry

log = logging.getLogger(__name__)


class Reporter:
    """Reads the board; the planner never waits for it."""

    name = "reporter"

    def __init__(
        self,
        caches: Callable[[], CacheStore],
        queue: Callable[[], Queue],
        *,
        board: Board,
        clock: Clock,
        telemetry: ControllerTelemetry,
        every_s: float,
    ) -> None:
        self._caches, self._queue = Connected(caches), Connected(queue)
        self._board, self._clock, self._telemetry, self._every_s = board, clock, telemetry, every_s
        self._stall: str | None = None

    def tick(self) -> float:
        for figures in self._board.figures().values():
            self._telemetry.study(
                figures.name, tally=figures.tally, n_in_flight=figures.n_in_flight, fronts=figures.fronts
            )
        self._save_caches()
        waited_for = {each.device_kind for each in self._board.waiting if each.device_kind != ANYWHERE}
        kinds = sorted(waited_for | {worker.device_kind for worker in self._board.workers})
        self._telemetry.rings_waiting(self._queue.get().depths(kinds))
        self._say_stall()
        return self._every_s

    def reset(self) -> None:
        self._caches.drop()
        self._queue.drop()

    def _save_caches(self) -> None:
        for cache in self._board.take_caches():
            killpoint("reporter.before_save")
            self._caches.get().save(
                cache.study,
                cache.strategy_version,
                cache.settings_hash,
                learned_seq=cache.learned_seq,
                state=cache.state,
            )
            killpoint("reporter.after_save")

    def _say_stall(self) -> None:
        """Once when it begins or changes, once when it ends."""
        reason = stall_reason(self._board.waiting, self._board.workers, self._clock.now())
        self._telemetry.stalled(reason is not None)
        if reason is not None and reason != self._stall:
            log.warning("stalled", extra={"fields": {"why": reason}})
        elif reason is None and self._stall is not None:
            log.info("no longer stalled")
        self._stall = reason
