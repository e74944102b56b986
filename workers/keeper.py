"""Keeper: one thread beside the work that renews the lease at hand and says that the worker lives."""

from __future__ import annotations

import logging
import threading
import time

from nasd.config import LeaseSettings, WorkerSettings
from nasd.domain.ids import WorkerId
from nasd.errors import LeaseLost
from nasd.ports.lease import Directive, Lease, LeaseStore
from workers.control import Order
from workers.evaluator import Evaluator
from workers.stats import WorkerStats

logger = logging.getLogger(__name__)

_ORDERS = {
    Directive.CARRY_ON: Order.CARRY_ON,
    Directive.STOP_EARLY: Order.STOP_EARLY,
    Directive.ABANDON: Order.STOP,
}


class Keeper:
    """Watches at most one lease. Taking one up or putting it down wakes nobody: it costs a microsecond."""

    def __init__(
        self,
        store: LeaseStore,
        worker: WorkerId,
        evaluator: Evaluator,
        stats: WorkerStats,
        *,
        lease: LeaseSettings,
        settings: WorkerSettings,
    ) -> None:
        self._store, self._worker, self._evaluator, self._stats = store, worker, evaluator, stats
        self._renew_every_s = lease.renew_every_s
        self._beat_every_s = settings.beat_every_s
        self._lease: Lease | None = None
        self._due_at = 0.0
        self._is_away = False
        self._lock = threading.Lock()  # an order must not reach the evaluation after the one it is meant for
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread, unless the store keeps it waiting, and tell the last seconds."""
        self._leave.set()
        self._thread.join(timeout=2.0)
        if not (self._is_away or self._thread.is_alive()):
            self._beat()

    def watch(self, lease: Lease) -> None:
        """Renew `lease` from now on."""
        every_s = min(self._renew_every_s, lease.duration_s / 3)
        with self._lock:
            self._lease, self._due_at = lease, time.monotonic() + every_s

    def release(self) -> None:
        """Renew no more."""
        with self._lock:
            self._lease = None

    def _run(self) -> None:
        beat_at = 0.0
        while not self._leave.is_set():
            now = time.monotonic()
            if now >= beat_at:
                beat_at = now + self._beat_every_s
                self._beat()
            lease, due_at = self._lease, self._due_at
            if lease is not None and now >= due_at:
                self._due_at = now + min(self._renew_every_s, lease.duration_s / 3)
                self._renew(lease)
                due_at = self._due_at
            # A lease taken up during the wait falls due after it: its interval is at least as long.
            next_at = min(beat_at, due_at if lease is not None else now + self._renew_every_s)
            self._leave.wait(max(0.01, next_at - time.monotonic()))

    def _beat(self) -> None:
        try:
            self._store.beat(self._worker, self._stats.activity_s)
        except Exception as error:  # noqa: BLE001 - the worker's outermost seam: nothing the store raises may end renewing
            self._note_away(error)
        else:
            self._is_away = False

    def _renew(self, lease: Lease) -> None:
        try:
            directive = self._store.renew(lease, self._evaluator.progress())
        except LeaseLost:
            directive = Directive.ABANDON
        except Exception as error:  # noqa: BLE001 - as above
            self._stats.failed_renewals += 1
            self._note_away(error)
            return
        if directive is not Directive.CARRY_ON:
            with self._lock:
                if self._lease is lease:
                    logger.info("directive", extra={"fields": {"lease": lease.evaluation_id, "directive": directive}})
                    self._evaluator.order(_ORDERS[directive])

    def _note_away(self, error: Exception) -> None:
        if not self._is_away:
            logger.warning("store unreachable; renewing goes on", extra={"fields": {"error": repr(error)}})
        self._is_away = True
