"""simulate: a study on a virtual clock. The planner is the controller's own; only workers and time are made up.

The planner is serial, as in the daemon: a call begins with what is finished by then, lasts as long as its proposals
take, and its trials can be leased when it ends; meanwhile workers go on. They pull: baselines first, then in number
order, each worker as soon as it is free.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from heapq import heappop, heappush

import numpy as np

from nasd.controller.able import proposing_for
from nasd.controller.admission import admission_end, stage_kinds
from nasd.controller.advance import advance
from nasd.controller.mind import Parts, StudyMind
from nasd.controller.plan import Snapshot, plan
from nasd.controller.stages import needs
from nasd.daemon.pace import Pace
from nasd.daemon.timed import TimedStrategy
from nasd.domain.ids import TrialId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import seed_of
from nasd.ports.clock import Clock, SystemClock
from nasd.ports.trials import Finished, LiveWorker, NewTrial, Step, Study, StudyState
from nasd.simulator.evaluator import Evaluator, Outcome
from nasd.simulator.events import Event, Expired, Freed, Leased, OpenTrial, Planned, Reported, Usage
from nasd.simulator.fleet import Fleet
from nasd.simulator.run import Run, TrialRow
from nasd.usercode import packages_of

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)  # workers' liveness is made up too


def simulate(
    parts: Parts, evaluator: Evaluator, fleet: Fleet, *, ask_s: float | None = None, clock: Clock | None = None
) -> Run:
    """Run the study of `parts` to its end.

    Later measuring rounds are left out: a trial has one result.

    Args:
        parts: fresh ones; the study's seed keys everything random here too.
        ask_s: virtual seconds that each proposal takes; None: the real time of every planner call is charged.
        clock: that real time is read from; None: the machine's.

    Raises:
        RuntimeError: the strategy waits while nothing is in flight.
    """
    return _Simulation(parts, evaluator, fleet, ask_s=ask_s, clock=clock or SystemClock()).run()


class _Simulation:
    """The events of one study."""

    def __init__(self, parts: Parts, evaluator: Evaluator, fleet: Fleet, *, ask_s: float | None, clock: Clock) -> None:
        self._clock = clock
        self._asks: list[float] = []
        spec = replace(parts.spec, measure=replace(parts.spec.measure, rounds=1))
        strategy = TimedStrategy(parts.strategy, self._clock, self._asks.append)
        self._mind = StudyMind(replace(parts, spec=spec, strategy=strategy))
        self._study = Study(
            id=parts.study, name=spec.name, spec=spec, data=parts.data, state=StudyState.RUNNING
        )  # fmt: skip
        self._spec, self._evaluator, self._fleet, self._ask_s = spec, evaluator, fleet, ask_s
        self._workers = tuple(_live_worker(parts, index) for index in range(len(fleet.speeds)))
        self._away: set[int] = set()
        self._free: deque[int] = deque(range(len(fleet.speeds)))  # who asked first is served first
        self._queue: list[tuple[int, TrialNumber]] = []
        self._open: dict[TrialNumber, OpenTrial] = {}
        self._events: list[tuple[float, int, Event]] = []
        self._n_events = 0
        self._pending: list[Finished] = []
        self._rows: dict[TrialNumber, TrialRow] = {}
        self._usage = Usage()
        self._pace = Pace()
        self._now = self._paid_until = 0.0
        self._is_planning = False
        self._end: str | None = None

    def run(self) -> Run:
        self._plan()
        while self._end is None:
            if not self._events:
                raise RuntimeError(f"strategy {self._mind.parts.strategy.name} waits while nothing is in flight")
            self._now = self._events[0][0]
            while self._events and self._events[0][0] == self._now:  # what happens at once is learned at once
                self._handle(heappop(self._events)[2])
            self._hand_out()
            if self._pending and not self._is_planning and self._end is None:
                self._plan()
        boxes = {kind: front.box for kind, front in self._mind.fronts.items() if front.box is not None}
        return Run(
            trials=tuple(self._rows[number] for number in sorted(self._rows)),
            utilisation=self._usage.share(len(self._workers), self._now),
            ask_s=tuple(self._asks),
            ended=self._end,
            wall_s=self._now,
            boxes=boxes,
        )

    # --- the planner ---

    def _plan(self) -> None:
        """One call of the planner, as `nasd.daemon.planner` makes it; its trials appear when it ends."""
        finished, self._pending = self._pending, []
        self._pace.note(self._now, len(finished))
        live = [worker for index, worker in enumerate(self._workers) if index not in self._away]
        wanted = plan(
            Snapshot(
                study=self._study,
                workers=live,
                evaluation_s=self._pace.evaluation_s(len(proposing_for(self._spec, live))),
                unaccounted_s=self._now - self._paid_until,
            )
        )
        self._paid_until += wanted.account_s
        n_asked, began = len(self._asks), self._clock.monotonic()
        step = advance(self._mind, finished, target=wanted.target, admit=wanted.admit, used_s=wanted.account_s)
        took_s = self._clock.monotonic() - began
        self._learned(step)
        if self._ask_s is not None:
            took_s = self._ask_s * (len(self._asks) - n_asked)
        self._is_planning = True
        self._push(self._now + took_s, Planned(step))

    def _learned(self, step: Step) -> None:
        for fact in step.facts:
            self._rows[fact.trial] = replace(self._rows[fact.trial], learned_seq=int(fact.seq))

    def _planned(self, step: Step) -> None:
        self._is_planning = False
        if step.state is not None:
            self._end = step.state[1]
            return
        for trial in step.trials:
            self._open[trial.number] = OpenTrial(trial, self._now)
            if trial.evaluations:
                heappush(self._queue, _place(trial))
            else:
                self._finish(trial.number, State.INFEASIBLE, {}, None)

    # --- workers ---

    def _handle(self, event: Event) -> None:
        match event:
            case Planned(step):
                self._planned(step)
            case Reported(leased):
                self._reported(leased)
            case Expired(leased):
                self._expired(leased)
            case Freed(worker):
                self._away.discard(worker)
                self._free.append(worker)

    def _hand_out(self) -> None:
        while self._free and self._queue:
            number = heappop(self._queue)[1]
            trial = self._open.get(number)
            if trial is None or trial.leased is not None:
                continue  # a late result came while it was queued again
            self._lease(trial, self._free.popleft())
        if self._usage.closed_at_s is None and not self._queue and self._is_admission_over():
            self._usage.closed_at_s = self._now

    def _lease(self, trial: OpenTrial, worker: int) -> None:
        number, seed = trial.trial.number, self._spec.seed
        if trial.outcome is None:
            trial.outcome = self._outcome(trial.trial)
        goes = self._fleet.attempt(
            seed, number, trial.n_attempts, worker=worker, duration_s=trial.outcome.duration_s
        )  # fmt: skip
        leased = Leased(number, trial.n_attempts, worker, self._now, goes)
        trial.leased = trial.n_attempts
        trial.n_attempts += 1
        self._usage.spans.append((self._now, self._now + goes.busy_s, self._now + goes.free_s))
        if goes.expires_s is not None:
            self._push(self._now + goes.expires_s, Expired(leased))
        if goes.report_s is not None:
            self._push(self._now + goes.report_s, Reported(leased))
        self._push(self._now + goes.free_s, Freed(worker))

    def _outcome(self, trial: NewTrial) -> Outcome:
        number, seed = trial.number, self._spec.seed
        rng = np.random.Generator(np.random.PCG64(seed_of("outcome", seed, number)))
        outcome = self._evaluator.evaluate(trial.proposal.architecture, rng)
        share = self._fleet.fails_at(seed, number)
        if share is None:
            return outcome
        return Outcome({}, outcome.duration_s * share, self._fleet.failure_state)

    def _reported(self, leased: Leased) -> None:
        """Taken unless a newer attempt was leased or the trial is final: then it is superseded."""
        trial = self._open.get(leased.number)
        if trial is None or trial.n_attempts != leased.index + 1:
            return
        assert trial.outcome is not None
        self._finish(leased.number, trial.outcome.state, trial.outcome.values, leased)

    def _expired(self, leased: Leased) -> None:
        self._away.add(leased.worker)
        trial = self._open.get(leased.number)
        if trial is None or trial.leased != leased.index:
            return
        trial.leased = None
        trial.n_spent += 1
        if trial.n_spent >= self._fleet.max_attempts:
            self._finish(leased.number, State.FAILED, {}, leased)
        else:
            heappush(self._queue, _place(trial.trial))

    def _finish(self, number: TrialNumber, state: State, values: Mapping[str, float], leased: Leased | None) -> None:
        trial = self._open.pop(number)
        known = {**trial.trial.counts, **(values if state is not State.FAILED else {})}
        proposal = trial.trial.proposal
        self._rows[number] = TrialRow(
            number=int(number),
            operator=proposal.operator,
            architecture=proposal.architecture,
            proposed_at_s=trial.proposed_at_s,
            started_at_s=None if leased is None else leased.started_at_s,
            finished_at_s=self._now,
            worker=None if leased is None else leased.worker,
            state=state,
            values=known,
            learned_seq=0,
        )
        violation = trial.trial.violation if leased is None else 0.0
        self._pending.append(Finished(TrialId(int(number)), number, "result", state, known, violation))

    def _is_admission_over(self) -> bool:
        mind = self._mind
        end = admission_end(
            self._spec.budget, n_charged=mind.n_charged, used_s=mind.used_s, exhausted=mind.exhausted
        )  # fmt: skip
        return end is not None and not self._is_planning

    def _push(self, at_s: float, event: Event) -> None:
        heappush(self._events, (at_s, self._n_events, event))
        self._n_events += 1


def _place(trial: NewTrial) -> tuple[int, TrialNumber]:
    """In the queue: a trial is one evaluation here, with the least priority of its stages."""
    return -min(new.priority for new in trial.evaluations), trial.number


def _live_worker(parts: Parts, index: int) -> LiveWorker:
    """A worker of the study's first kind that can do all of it."""
    spec = parts.spec
    wanted = stage_kinds(spec)
    return LiveWorker(
        name=f"virtual-{index}",
        device_kind=spec.device_kinds()[0],
        stages=spec.stages(),
        offers=tuple({word for stage, kind in wanted for word in needs(spec, stage, kind)}),
        studies=(),
        beats=0,
        last_seen_at=_LONG_AGO,
        packages=packages_of(spec),
    )
