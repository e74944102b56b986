"""Reporter: brings outcomes to the store, however long that takes, and never raises for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from nasd.domain.ids import WorkerId
from nasd.domain.killpoints import killpoint
from nasd.domain.measurement import Outcome, OutcomeKind
from nasd.errors import LeaseLost, UserError
from nasd.ports.lease import Lease, LeaseStore
from workers.spool import SPOOL_FROM_S, Spool
from workers.stats import WorkerStats
from workers.stop import Stop

logger = logging.getLogger(__name__)

_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
_TRIES = 5  # of one outcome, with the store answering everything else


class Reporter:
    """Reports, gives back and delivers what was spooled."""

    def __init__(self, store: LeaseStore, worker: WorkerId, spool: Spool, stats: WorkerStats, stop: Stop) -> None:
        self._store, self._worker, self._spool, self._stats, self._stop = store, worker, spool, stats, stop
        self.has_spooled = True  # until looked: an earlier worker of this host may have left some

    def report(self, lease: Lease, outcome: Outcome) -> None:
        """Deliver an outcome; on a request to leave while the store is away it stays spooled for the next worker."""
        killpoint("worker.before_spool")
        path = self._spool.put(lease, outcome) if outcome.seconds.get("evaluate", 0.0) >= SPOOL_FROM_S else None
        killpoint("worker.before_finish")
        if not self._try(lambda: self._finish(lease, outcome)):
            path = path or self._spool.put(lease, outcome)
            if not self._insist(lease, outcome, path):
                self.has_spooled = True
                return
        killpoint("worker.after_finish")
        self._spool.remove(path)

    def exchange(self, finished: Sequence[tuple[Lease, Outcome]], n: int) -> Sequence[Lease]:
        """Report completed short evaluations together and lease up to `n` more; raises where the store does."""
        killpoint("worker.before_exchange")
        exchanged = self._store.exchange(self._worker, finished, n)
        killpoint("worker.after_exchange")
        for lease in exchanged.refused:
            self._note_refused(lease, LeaseLost(lease.evaluation_id, lease.attempt))
        return exchanged.leases

    def deliver_spooled(self) -> None:
        """Report what earlier workers could not; leaves it for later where the store is away."""
        if not self.has_spooled:
            return
        for path, lease, outcome in self._spool.waiting():
            if not self._try(partial(self._finish, lease, outcome)):
                return
            logger.info("spooled outcome delivered", extra={"fields": _fields(lease)})
            self._spool.remove(path)
        self.has_spooled = False

    def give_back(self, lease: Lease, *, within_s: float) -> None:
        """Return work undone; where the store stays away its lease expires instead."""
        killpoint("worker.before_give_back")
        wait_s = _FIRST_WAIT_S
        while not self._try(lambda: self._store.give_back(lease)):
            if within_s <= 0:
                logger.warning("work not given back; its lease will expire", extra={"fields": _fields(lease)})
                return
            time.sleep(wait_s)
            within_s -= wait_s
        killpoint("worker.after_give_back")

    def _insist(self, lease: Lease, outcome: Outcome, path: Path | None) -> bool:
        """Try until the store decides; False where the worker is asked to leave first."""
        wait_s, n_refused = _FIRST_WAIT_S, 0
        while not self._stop.wait(wait_s):
            if self._try(partial(self._finish, lease, outcome)):
                return True
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            n_refused += self._try(lambda: self._store.beat(self._worker, self._stats.activity_s))
            if n_refused >= _TRIES:
                logger.error("the store takes everything but this outcome", extra={"fields": _fields(lease)})
                self._spool.set_aside(path)
                text = "the database could not store the outcome; it is kept in the worker's spool as .rejected"
                outcome, path, n_refused = Outcome(OutcomeKind.FAILED, reason="unstorable", message=text), None, 0
        return False

    def _finish(self, lease: Lease, outcome: Outcome) -> None:
        try:
            self._store.finish(lease, outcome)
        except LeaseLost as lost:
            self._note_refused(lease, lost)

    def _note_refused(self, lease: Lease, lost: LeaseLost) -> None:
        self._stats.lost_leases += 1
        logger.warning("result refused", extra={"fields": _fields(lease) | {"error": str(lost)}})

    def _try(self, call: Callable[[], None]) -> bool:
        try:
            call()
        except UserError:  # this worker was refused: no use in trying again
            raise
        except Exception as error:  # noqa: BLE001 - the worker's outermost seam: whatever ails the store, the result is kept
            self._stats.failed_reports += 1
            logger.warning("store unreachable", extra={"fields": {"error": repr(error)}})
            return False
        return True


def _fields(lease: Lease) -> dict[str, object]:
    return {
        "study": lease.study_name,
        "trial": lease.trial_number,
        "evaluation": lease.evaluation_id,
        "attempt": lease.attempt,
    }
