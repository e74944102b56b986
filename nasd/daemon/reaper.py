"""The reaper: takes leases back from workers that stand still."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nasd.controller.standing import LeaseKey, Standing, afresh, expired
from nasd.daemon.loop import Connected
from nasd.domain.killpoints import killpoint
from nasd.ports.clock import Clock
from nasd.ports.trials import OpenLease, TrialStore
from nasd.telemetry.controller import ControllerTelemetry

log = logging.getLogger(__name__)


class Reaper:
    """Judges by its own monotonic time only, counted afresh after every start, takeover and reconnect."""

    name = "reaper"

    def __init__(
        self,
        trials: Callable[[], TrialStore],
        *,
        epoch: int,
        clock: Clock,
        telemetry: ControllerTelemetry,
        every_s: float,
        on_expired: Callable[[], None],
    ) -> None:
        self._trials = Connected(trials)
        self._epoch, self._clock, self._telemetry = epoch, clock, telemetry
        self._every_s, self._on_expired = every_s, on_expired
        self._watched: Standing[LeaseKey] = Standing()

    def tick(self) -> float:
        leases = self._trials.get().open_leases()
        over, self._watched = expired(self._clock.monotonic(), self._watched, leases)
        killpoint("reaper.before_expire")
        self._expire(over.spend, spend_attempt=True)
        self._expire(over.spare, spend_attempt=False)
        killpoint("reaper.after_expire")
        return self._every_s

    def reset(self) -> None:
        self._watched = afresh(self._watched)
        self._trials.drop()

    def _expire(self, leases: tuple[OpenLease, ...], *, spend_attempt: bool) -> None:
        if not leases:
            return
        n = self._trials.get().expire(self._epoch, leases, spend_attempt=spend_attempt)
        killpoint("reaper.after_commit")
        self._telemetry.expired(n, spent=spend_attempt)
        if n:
            log.warning("leases expired", extra={"fields": {"n": n, "attempt_spent": spend_attempt}})
            self._on_expired()
