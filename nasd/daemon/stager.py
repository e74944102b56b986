"""The stager: rings each device kind that has work waiting, so that a lost ring costs one sweep."""

from __future__ import annotations

from collections.abc import Callable

from nasd.daemon.board import Board
from nasd.daemon.loop import Connected
from nasd.domain.killpoints import killpoint
from nasd.ports.queue import Queue
from nasd.ports.trials import TrialStore
from nasd.telemetry.controller import ControllerTelemetry


class Stager:
    """Writes nothing: a sweep too many finds a ring that is there already."""

    name = "stager"

    def __init__(
        self,
        trials: Callable[[], TrialStore],
        queue: Callable[[], Queue],
        *,
        board: Board,
        telemetry: ControllerTelemetry,
        every_s: float,
    ) -> None:
        self._trials, self._queue = Connected(trials), Connected(queue)
        self._board, self._telemetry, self._every_s = board, telemetry, every_s

    def tick(self) -> float:
        waiting = self._trials.get().queued()
        self._board.waiting = dict(waiting)
        self._telemetry.waiting(waiting)
        killpoint("stager.before_ring")
        for kind, n in waiting.items():
            if n > 0:
                self._telemetry.rung(kind, reached=self._queue.get().ring(kind))
        killpoint("stager.after_ring")
        return self._every_s

    def reset(self) -> None:
        self._trials.drop()
        self._queue.drop()
