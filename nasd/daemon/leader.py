"""Leadership: standing by, taking the lead, keeping it, leaving it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

from nasd.controller.standing import Standing
from nasd.daemon.loop import Connected, backoff_s
from nasd.domain.killpoints import killpoint
from nasd.errors import Deposed
from nasd.ports.clock import Clock
from nasd.ports.trials import Leadership

log = logging.getLogger(__name__)

BEATS_PER_TAKEOVER = 5


class Leader:
    """One controller's place in the line. A leader that stands still is judged by this controller's own clock."""

    def __init__(self, leadership: Callable[[], Leadership], *, holder: str, clock: Clock, takeover_s: float) -> None:
        self._leadership = Connected(leadership)
        self._holder, self._clock, self._takeover_s = holder, clock, takeover_s
        self._every_s = takeover_s / BEATS_PER_TAKEOVER

    def stand_by(self, stop: Event) -> int | None:
        """Wait until this controller leads; its epoch, or None when `stop` was set first."""
        watched: Standing[int] = Standing()
        n_failures = 0
        while not stop.is_set():
            try:
                epoch, watched = self._try(watched)
                n_failures = 0
            except Exception:  # an outermost seam: the database may be away, and what was seen before says nothing then
                n_failures += 1
                log.exception("standing by failed", extra={"fields": {"failures": n_failures}})
                watched = Standing()
                self._leadership.drop()
                self._clock.wait(stop, backoff_s(n_failures))
                continue
            if epoch is not None:
                return epoch
            self._clock.wait(stop, self._every_s)
        return None

    def _try(self, watched: Standing[int]) -> tuple[int | None, Standing[int]]:
        leadership = self._leadership.get()
        present = leadership.watch()
        depose = None
        if present is not None:
            epoch, beats = present
            watched = watched.look(self._clock.monotonic(), {epoch: beats})
            if watched.still_s(self._clock.monotonic(), epoch) < self._takeover_s:
                return None, watched
            depose = epoch
        killpoint("leader.before_take")
        taken = leadership.take(self._holder, depose=depose)
        killpoint("leader.after_take")
        if taken is not None:
            fields = {"epoch": taken, "holder": self._holder, "deposed": depose}
            log.info("leading", extra={"fields": fields})
        return taken, Standing()

    def lead(self, epoch: int, *, ended: Event, stop: Event) -> None:
        """Beat until `stop` or `ended` is set, or another controller took over."""
        n_failures = 0
        while not (stop.is_set() or ended.is_set()):
            pause_s = self._every_s
            try:
                killpoint("leader.before_beat")
                self._leadership.get().beat(epoch)
                killpoint("leader.after_beat")
                n_failures = 0
            except Deposed:
                log.warning("deposed", extra={"fields": {"epoch": epoch}})
                return
            except Exception:  # an outermost seam: while the database is away nobody else can take over either
                n_failures += 1
                log.exception("beat failed", extra={"fields": {"epoch": epoch, "failures": n_failures}})
                self._leadership.drop()
                pause_s = min(self._every_s, backoff_s(n_failures))
            self._clock.wait(stop, pause_s)

    def resign(self, epoch: int) -> None:
        """Leave the row free, so that a standby need not wait; where that fails, it waits."""
        try:
            killpoint("leader.before_resign")
            self._leadership.get().resign(epoch)
            killpoint("leader.after_resign")
        except Exception:  # an outermost seam: leaving must not fail
            log.exception("resigning failed", extra={"fields": {"epoch": epoch}})
        self.close()

    def close(self) -> None:
        self._leadership.drop()
