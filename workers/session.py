"""Session: leases one evaluation after the other, has each carried out, obeys, reports, drains. Knows no driver."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nasd.domain.ids import WorkerId
from nasd.domain.killpoints import killpoint
from nasd.domain.measurement import Outcome, OutcomeKind, Stage
from nasd.errors import ArtifactsAway, UserError, WorldFault
from nasd.ports.lease import Lease, LeaseStore
from workers.assignment import Assignment
from workers.bundle import SHORT_S, Bundling
from workers.courier import Courier
from workers.evaluator import Evaluator
from workers.keeper import Keeper
from workers.recipes import RecipeBook
from workers.reporter import Reporter
from workers.stats import WorkerStats
from workers.stop import Stop

logger = logging.getLogger(__name__)

DRAIN_S = 20.0  # of leasing before rq gets a turn
AWAY_S = 5.0  # before work that needs an artifact is taken again, after the courier has tried for about as long
LINGER_S, LONGEST_LINGER_S = 0.001, 0.05  # between looks for more, where evaluations are short
_PRODUCING = frozenset({Stage.EXPORT})  # stages that leave artifacts behind


class Session:
    """A worker's life after registration. One thread calls it."""

    def __init__(
        self,
        store: LeaseStore,
        worker: WorkerId,
        *,
        evaluator: Evaluator,
        keeper: Keeper,
        reporter: Reporter,
        courier: Courier,
        stats: WorkerStats,
        stop: Stop,
        pass_on: Callable[[], object] = lambda: None,
    ) -> None:
        """Nothing is leased yet.

        Args:
            store: where work comes from.
            worker: as registered.
            evaluator: carries out evaluations.
            keeper: renews leases; started already.
            reporter: brings outcomes back.
            courier: brings artifacts to and fro.
            stats: what to count in.
            stop: asked between evaluations; the evaluator asks it meanwhile.
            pass_on: rings for the next idle worker. The controller rings once however much work there is, so whoever it
                woke rings again as soon as there may be more than it can do itself.
        """
        self._store, self._worker = store, worker
        self._evaluator, self._keeper, self._reporter, self._courier = evaluator, keeper, reporter, courier
        self._stats, self._stop, self._pass_on = stats, stop, pass_on
        self._recipes = RecipeBook(store, worker, stop)
        self._bundling = Bundling()
        self._finished: list[tuple[Lease, Outcome]] = []
        self._rest: deque[Lease] = deque()
        self._has_passed_on = False
        self._is_away = False

    def drain(self) -> bool:
        """Do what there is, for about 20 s; True when there may be more.

        Raises:
            UserError: the store refuses this worker.
        """
        self._reporter.deliver_spooled()
        began = time.monotonic()
        n_leases = 0
        while not self._stop.requested:
            leases = self._take()
            if not leases:
                self._has_passed_on = False
                return False
            n_leases += len(leases)
            if n_leases > 1:
                self._ring_once()
            self._carry_out_all(leases)
            if time.monotonic() - began > DRAIN_S:
                break
        self._hand_in()
        return not self._stop.requested

    def _take(self) -> Sequence[Lease]:
        """What to do next: one evaluation, or a bundle of short ones against the results of the last."""
        if self._bundling.n == 1 and not self._finished:
            lease = self._lease_next()
            return () if lease is None else (lease,)
        leases = self._exchange(self._bundling.n)
        wait_s = LINGER_S
        while not leases and wait_s < LONGEST_LINGER_S and not self._stop.wait(wait_s):
            # the next proposals are a few milliseconds away; waiting for their ring would cost fifty Redis commands
            leases = self._exchange(self._bundling.n)
            wait_s *= 2
        return leases

    def _exchange(self, n: int) -> Sequence[Lease]:
        """Report what is finished and lease up to `n`; where the store does not answer, one by one and insisting."""
        finished, self._finished = self._finished, []
        try:
            return self._reporter.exchange(finished, n)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - as in _lease_next
            self._note_away(error)
            for lease, outcome in finished:
                self._reporter.report(lease, outcome)
            return ()

    def _hand_in(self) -> None:
        """Report what is finished."""
        if self._finished:
            self._exchange(0)

    def _carry_out_all(self, leases: Sequence[Lease]) -> None:
        """One after the other; when one turns out long or the worker is to leave, the rest go back."""
        self._rest = deque(leases)
        while self._rest:
            if self._stop.requested:
                self._unbundle()
                return
            self._carry_out(self._rest.popleft())

    def _unbundle(self) -> None:
        """Hold nothing back from others: report what is finished and give back what was not begun."""
        self._hand_in()
        while self._rest:
            self._reporter.give_back(self._rest.popleft(), within_s=1.5)

    def _on_long(self) -> None:
        self._unbundle()
        self._ring_once()

    def _lease_next(self) -> Lease | None:
        try:
            lease = self._store.lease_next(self._worker)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - the worker's outermost seam: it outlives whatever ails the store
            self._note_away(error)
            return None
        if self._is_away:
            logger.info("store is back")
        self._is_away = False
        return lease

    def _note_away(self, error: Exception) -> None:
        if not self._is_away:
            logger.warning("store unreachable; polling goes on", extra={"fields": {"error": repr(error)}})
        self._is_away = True

    def _carry_out(self, lease: Lease) -> None:
        killpoint("worker.after_lease")
        self._stats.leases += 1
        self._keeper.watch(lease)
        began = time.monotonic()
        self._stats.running = lambda: self._running(began)
        outcome = self._outcome(lease)
        wall_s, self._stats.running = time.monotonic() - began, None
        paused_s = outcome.seconds.get("paused", 0.0) if outcome is not None else self._evaluator.paused_s()
        self._stats.spend(lease.stage, wall_s, paused_s)
        self._stats.child_starts, self._stats.child_deaths = self._evaluator.n_children, self._evaluator.n_deaths
        self._bundling.note(wall_s)
        if outcome is not None and outcome.kind is OutcomeKind.COMPLETED and wall_s < SHORT_S and self._bundling.n > 1:
            self._finished.append((lease, outcome))  # reported with the next exchange, milliseconds from now
        elif outcome is not None:
            self._reporter.report(lease, outcome)
        elif self._stop.requested:
            self._reporter.give_back(lease, within_s=1.5)
        self._keeper.release()
        kind = self._stats.count(lease.stage, outcome, wall_s, drained=self._stop.requested)
        self._log(lease, outcome, kind, wall_s)

    def _outcome(self, lease: Lease) -> Outcome | None:
        """What the evaluation came to; None where there is nothing to report."""
        try:
            recipe = self._recipes.of(lease)
            if recipe is None:
                return None
            return self._evaluated(lease, recipe)
        except ArtifactsAway as fault:
            self._wait_for_artifacts(lease, fault)
            return None
        except WorldFault as fault:
            return Outcome(OutcomeKind.FAILED, reason=fault.kind, message=str(fault))

    def _wait_for_artifacts(self, lease: Lease, fault: ArtifactsAway) -> None:
        """An outage of the artifact store says nothing of the trial: its lease goes back and no attempt is spent."""
        logger.warning("artifact store away; the work goes back", extra={"fields": {"error": str(fault)}})
        self._reporter.give_back(lease, within_s=1.5)
        self._stop.wait(AWAY_S)

    def _evaluated(self, lease: Lease, recipe: Mapping[str, object]) -> Outcome | None:
        """The child's outcome, with what it made in the artifact store before anything is reported or spooled."""
        limit_s = self._recipes.limit_s(lease)
        outbox = str(self._courier.outbox()) if lease.stage in _PRODUCING else None
        try:
            assignment = Assignment.of(lease, artifacts=self._courier.fetch(lease), outbox=outbox)
            outcome = self._evaluator.evaluate(assignment, recipe, limit_s=limit_s, on_long=self._on_long)
            if outcome is None or not self._evaluator.produced:
                return outcome
            return replace(outcome, artifacts=self._courier.deliver(self._evaluator.produced))
        finally:
            self._courier.clear()

    def _running(self, began: float) -> tuple[float, float]:
        paused_s = self._evaluator.paused_s()
        return max(0.0, time.monotonic() - began - paused_s), paused_s

    def _ring_once(self) -> None:
        if not self._has_passed_on:
            self._has_passed_on = True
            self._pass_on()

    def _log(self, lease: Lease, outcome: Outcome | None, kind: str, wall_s: float) -> None:
        level = logging.DEBUG if outcome is not None and outcome.reason is None and wall_s < 0.1 else logging.INFO
        if not logger.isEnabledFor(level):
            return
        fields = {
            "study": lease.study_name,
            "trial": lease.trial_number,
            "evaluation": lease.evaluation_id,
            "attempt": lease.attempt,
            "stage": lease.stage,
            "outcome": kind,
            "reason": outcome.reason if outcome is not None else None,
            "wall_s": round(wall_s, 3),
        }
        logger.log(level, "evaluation ended", extra={"fields": fields})
