"""The planner: learns what is finished and proposes what is missing, study by study, as soon as it is woken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue

from nasd.config import ControllerSettings
from nasd.controller.able import kinds_to_ring, proposing_for
from nasd.controller.advance import Fleet, advance, is_over
from nasd.controller.mind import Parts, StudyMind
from nasd.controller.plan import Plan, Snapshot, is_empty, needs_another_tick, plan
from nasd.controller.standing import Standing, afresh, live
from nasd.daemon.board import Board
from nasd.daemon.loop import Connected, backoff_s
from nasd.daemon.orders import orders
from nasd.daemon.served import Served, bring_back
from nasd.domain.devices import OnMissing
from nasd.domain.ids import StudyId
from nasd.domain.killpoints import killpoint
from nasd.errors import Deposed, UserError
from nasd.ports.cache import CacheStore
from nasd.ports.clock import Clock
from nasd.ports.queue import Queue
from nasd.ports.trials import Finished, LiveWorker, Step, Study, StudyState, TrialStore
from nasd.telemetry.controller import ControllerTelemetry

log = logging.getLogger(__name__)

LIVE_WITHIN_S = 10.0  # a worker beats every two seconds
RING_AGAIN_S = 1.0  # an unreachable doorbell is left to the stager's sweep for this long


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannerTools:
    """What the planner works with; each factory gives it a connection of its own."""

    trials: Callable[[], TrialStore]
    caches: Callable[[], CacheStore]
    queue: Callable[[], Queue]
    build_parts: Callable[[Study], Parts]
    board: Board
    clock: Clock
    telemetry: ControllerTelemetry
    settings: ControllerSettings


class Planner:
    """One `finished` and one `apply` a study and tick; no statement reads the history except to rebuild a mind."""

    name = "planner"

    def __init__(self, tools: PlannerTools, *, epoch: int) -> None:
        self._tools, self._epoch = tools, epoch
        self._clock, self._telemetry, self._settings = tools.clock, tools.telemetry, tools.settings
        self._trials, self._caches = Connected(tools.trials), Connected(tools.caches)
        self._queue = Connected(tools.queue)
        self._served: dict[StudyId, Served] = {}
        self._workers: Sequence[LiveWorker] = ()
        self._beats: Standing[str] = Standing()
        self._told: SimpleQueue[str] = SimpleQueue()
        self._again: set[StudyId] = set()
        self._refresh_at = self._ring_at = float("-inf")

    @property
    def board(self) -> Board:
        return self._tools.board

    def tick(self) -> float:
        """Serve the studies that something was said of, and all of them once a poll."""
        now = self._clock.monotonic()
        due = self._take_told()
        if now >= self._refresh_at:
            self._refresh(now)
            self._refresh_at = now + self._settings.poll_s
            due = set(self._served)
        self._again = {study for study in sorted(due) if study in self._served and self._serve_guarded(study)}
        return 0.0 if self._again else max(0.0, self._refresh_at - self._clock.monotonic())

    def reset(self) -> None:
        for served in self._served.values():
            served.forget()
        self._disconnect()
        self._queue.drop()

    def told(self, payload: str) -> None:
        """A notification, from any thread: a study's id, or anything else for a look at all rows."""
        self._told.put(payload)

    def _take_told(self) -> set[StudyId]:
        due = set(self._again)
        while not self._told.empty():
            payload = self._told.get_nowait()
            if payload.isdecimal() and StudyId(int(payload)) in self._served:
                due.add(StudyId(int(payload)))
            else:
                self._refresh_at = float("-inf")
        return due

    def _refresh(self, now: float) -> None:
        """Look at studies and workers: once a poll, not once a fact."""
        store = self._trials.get()
        rows = {study.id: study for study in store.studies()}
        for study in rows.values():
            served = self._served.get(study.id)
            if served is None:
                self._served[study.id] = Served(study)
            else:
                served.take(study)
        for gone in self._served.keys() - rows.keys():
            self._drop(gone)
        self._workers, self._beats = live(now, self._beats, store.workers(), within_s=LIVE_WITHIN_S)
        for served in self._served.values():
            served.look_for_workers(self._workers, now)
        self._tools.board.workers = tuple(self._workers)
        self._tools.board.orders = orders(self._served.values(), self._tools.board.waiting, self._workers, now=now)
        self._telemetry.live_workers(worker.device_kind for worker in self._workers)

    def _serve_guarded(self, study: StudyId) -> bool:
        """One study's tick; its failure leaves the others alone."""
        served = self._served[study]
        if self._clock.monotonic() < served.retry_at:
            return False
        try:
            again = self._serve(served)
        except Deposed:
            raise
        except UserError as error:
            self._stop(served, str(error))
            return False
        except Exception:  # the outermost seam of one study's tick: it starts again from its rows
            served.n_failures += 1
            served.retry_at = self._clock.monotonic() + backoff_s(served.n_failures)
            fields = {"study": served.study.name, "failures": served.n_failures}
            log.exception("planning failed; rebuilding from rows", extra={"fields": fields})
            self._telemetry.loop_failed(self.name)
            served.forget()
            self._disconnect()
            return False
        served.n_failures = 0
        return again

    def _serve(self, served: Served) -> bool:
        mind = served.mind or self._bring_back(served)
        killpoint("planner.before_finished")
        batch = self._settings.batch
        fleet = self._fleet(served, mind)  # before `finished`: what is closed by now is learned in this tick or was
        finished = self._trials.get().finished(served.study.id, batch)
        if len(finished) >= batch:
            fleet = replace(fleet, n_open=None)  # there may be more: a study does not end before it has learned all
        killpoint("planner.after_finished")
        now = self._clock.monotonic()
        served.pace.note(now, len(finished))
        step = self._advance(served, mind, finished, self._plan(served, now), fleet)
        asks = fleet.n_open is None and self._may_end(served, mind)
        if is_empty(step):
            return asks
        self._apply(served, step)
        self._ring(step)
        self._show(served, step)
        return asks or needs_another_tick(step, n_finished=len(finished), batch=batch)

    def _may_end(self, served: Served, mind: StudyMind) -> bool:
        return served.study.state is StudyState.RUNNING and is_over(mind)

    def _fleet(self, served: Served, mind: StudyMind) -> Fleet:
        """What the study may count on; only one that may end is asked what it has open."""
        spec, now = served.study.spec, self._clock.monotonic()
        absent = served.absent(now)
        if not self._may_end(served, mind):
            # somebody must be there to propose for: a trial never waits for nothing
            return Fleet(absent if proposing_for(spec, self._workers) else frozenset(), None)
        n_open = self._trials.get().n_open(served.study.id)
        is_partial = spec.measure.on_missing_device is OnMissing.FINISH_PARTIAL
        return Fleet(absent, n_open, give_up=is_partial and bool(n_open) and n_open.keys() <= absent)

    def _plan(self, served: Served, now: float) -> Plan:
        if served.paid_until is None or served.study.state is not StudyState.RUNNING:
            served.paid_until = now
        n_workers = len(proposing_for(served.study.spec, self._workers))
        wanted = plan(
            Snapshot(
                study=served.study,
                workers=self._workers,
                evaluation_s=served.pace.evaluation_s(n_workers),
                unaccounted_s=now - served.paid_until,
                n_idle=self._tools.board.idle.get(served.study.id, 0),
            )
        )
        if wanted.account_s > 0:
            served.paid_until = now
        return wanted

    def _advance(
        self, served: Served, mind: StudyMind, finished: Sequence[Finished], wanted: Plan, fleet: Fleet
    ) -> Step:
        assert served.strategy is not None
        began, proposing = self._clock.monotonic(), served.strategy.spent_s
        step = advance(mind, finished, target=wanted.target, admit=wanted.admit, used_s=wanted.account_s, fleet=fleet)
        took = self._clock.monotonic() - began - (served.strategy.spent_s - proposing)
        self._telemetry.learned(served.study.name, len(finished), took)
        return step

    def _apply(self, served: Served, step: Step) -> None:
        """Store the step; from here on, a failure leaves the mind ahead of or behind its rows, so it is dropped."""
        killpoint("planner.before_apply")
        began = self._clock.monotonic()
        self._trials.get().apply(self._epoch, step)
        self._telemetry.applied(served.study.name, self._clock.monotonic() - began)
        served.stored(step)
        killpoint("planner.after_apply")

    def _ring(self, step: Step) -> None:
        now = self._clock.monotonic()
        if now < self._ring_at:
            return
        queued = [new for trial in step.trials for new in trial.evaluations]
        queued += [new for _, new in step.new_rounds]
        for kind in kinds_to_ring(queued, self._workers):
            reached = self._queue.get().ring(kind)
            self._telemetry.rung(kind, reached=reached)
            if not reached:
                self._ring_at = now + RING_AGAIN_S
                return
        killpoint("planner.after_ring")

    def _show(self, served: Served, step: Step) -> None:
        if step.state is not None:
            log.info("study ended", extra={"fields": {"study": served.study.name, "why": step.state[1]}})
            self._drop(served.study.id)
            return
        figures = served.figures()
        if figures is not None:
            self._tools.board.show(served.study.id, figures)
        cache = served.due_cache(self._settings.cache_every)
        if cache is not None:
            self._tools.board.offer(cache)

    def _bring_back(self, served: Served) -> StudyMind:
        study = served.study
        bring_back(
            served,
            store=self._trials.get(),
            caches=self._caches.get(),
            build_parts=self._tools.build_parts,
            clock=self._clock,
            on_proposed=lambda seconds: self._telemetry.proposed(study.name, seconds),
        )
        assert served.mind is not None
        return served.mind

    def _stop(self, served: Served, why: str) -> None:
        """The study can't go on under this program: say so where its state is read."""
        log.error("study stopped", extra={"fields": {"study": served.study.name, "why": why}})
        step = Step(study=served.study.id, state=(StudyState.STOPPED, why), cancel_open=True)
        self._trials.get().apply(self._epoch, step)
        self._drop(served.study.id)

    def _drop(self, study: StudyId) -> None:
        served = self._served.pop(study, None)
        self._tools.board.forget(study)
        if served is not None:
            self._telemetry.forget(served.study.name)

    def _disconnect(self) -> None:
        self._trials.drop()
        self._caches.drop()
        self._beats = afresh(self._beats)
        self._refresh_at = float("-inf")
