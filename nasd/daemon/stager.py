"""The stager: sweeps what is queued. Rings who could take it, lets trials end that only a device keeps, puts in order.

A lost ring costs one sweep; so does everything else that it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nasd.controller.able import kinds_waited_for
from nasd.daemon.board import Board
from nasd.daemon.loop import Connected
from nasd.domain.ids import DeviceKind
from nasd.domain.killpoints import killpoint
from nasd.domain.measurement import Stage
from nasd.ports.fleet import FleetStore, Waiting
from nasd.ports.queue import Queue
from nasd.telemetry.controller import ControllerTelemetry

MOST_RELAXED = 64  # trials a sweep
MOST_MENDED = 64  # trials a sweep
MOST_ORDERED = 256  # measurements of one device kind a sweep


class Stager:
    """Reads rows and the board; the planner never waits for it."""

    name = "stager"

    def __init__(
        self,
        fleet: Callable[[], FleetStore],
        queue: Callable[[], Queue],
        *,
        epoch: int,
        board: Board,
        telemetry: ControllerTelemetry,
        every_s: float,
    ) -> None:
        self._fleet, self._queue = Connected(fleet), Connected(queue)
        self._epoch = epoch
        self._board, self._telemetry, self._every_s = board, telemetry, every_s

    def tick(self) -> float:
        waiting = tuple(self._fleet.get().waiting())
        self._board.waiting = waiting
        self._telemetry.waiting(_by_kind(waiting))
        killpoint("stager.before_ring")
        for kind in kinds_waited_for(waiting, self._board.workers):
            self._telemetry.rung(kind, reached=self._queue.get().ring(kind))
        killpoint("stager.after_ring")
        self._relax(waiting)
        if any(each.lacks is not None for each in waiting):
            self._fleet.get().mend(self._epoch, MOST_MENDED)
        if waiting:
            self._put_in_order()
        return self._every_s

    def reset(self) -> None:
        self._fleet.drop()
        self._queue.drop()

    def _relax(self, waiting: Sequence[Waiting]) -> None:
        if not any(each.stage is Stage.MEASURE for each in waiting):
            self._board.idle = {}
            return
        fleet = self._fleet.get()
        fleet.relax(self._epoch, MOST_RELAXED)
        self._board.idle = fleet.idle()

    def _put_in_order(self) -> None:
        """Only what has another place now is written."""
        for (study, kind), order in self._board.orders.items():
            queued = self._fleet.get().queued_measures(study, kind, MOST_ORDERED)
            moved = {
                each.evaluation_id: order[each.number]
                for each in queued
                if order.get(each.number, each.priority) != each.priority
            }
            if moved:
                self._fleet.get().prioritise(self._epoch, moved)


def _by_kind(waiting: Iterable[Waiting]) -> dict[DeviceKind, int]:
    counts: dict[DeviceKind, int] = {}
    for each in waiting:
        counts[each.device_kind] = counts.get(each.device_kind, 0) + each.n
    return counts
