"""A study with its controller and one worker, driven by hand over in-memory rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from fakes_trials import FakeLeadership, FakeTrialStore
from fakes_world import World
from toy_study import toy_parts, toy_spec, toy_study, toy_values

from nasd.controller.advance import Fleet, advance
from nasd.controller.kinds import kinds_of
from nasd.controller.mind import REFUNDED, StudyMind, rebuild
from nasd.controller.plan import is_empty
from nasd.controller.replay import replay
from nasd.domain.lifecycle import State
from nasd.domain.objective import violation
from nasd.domain.pareto import non_dominated
from nasd.ports.trials import StudyState


class Life:
    """One study with its controller and one worker, driven by hand."""

    def __init__(self, *, crash_after_apply: bool = True, **spec: object) -> None:
        self.world = World()
        self.study = toy_study(toy_spec(**spec))
        self.world.add(self.study)
        self.store = FakeTrialStore(self.world)
        self.epoch = FakeLeadership(self.world).take("test", depose=None)
        self.crash_after_apply = crash_after_apply
        self.mind: StudyMind | None = None
        self.n_crashes = 0
        self.held = []
        self.absent: frozenset[str] = frozenset()  # kinds without a worker, as the controller knows

    @property
    def row(self):
        return self.world.rows[self.study.id]

    @property
    def present(self) -> tuple[str, ...]:
        """Kinds that have a worker."""
        return tuple(kind for kind in self.study.spec.device_kinds() if kind not in self.absent)

    def rebuilt(self) -> StudyMind:
        """As the planner brings a mind back; a kind that joins does so with the next trial."""
        study = self.row.study
        trials, facts = self.store.history(study.id)
        joining = dict.fromkeys(kinds_of(study.spec, study.joined).joining, len(trials))
        parts = toy_parts(replace(study, joined={**study.joined, **joining}))
        mind = rebuild(parts, trials, facts, reference=study.reference, used_s=study.used_s)
        mind.joining, mind.wanted = joining, dict(study.wanted)
        return mind

    def tick(self, *, limit: int = 4) -> None:
        if self.row.study.state is not StudyState.RUNNING:
            return
        self.mind = self.mind or self.rebuilt()
        n_open = self.store.n_open(self.study.id)
        finished = self.store.finished(self.study.id, limit)
        target = self.study.spec.strategy.in_flight
        step = advance(self.mind, finished, target=target, fleet=Fleet(self.absent, n_open))
        if not is_empty(step):
            self.store.apply(self.epoch, step)

    def crash(self) -> None:
        """Between `advance` and `apply` every second time: the step is lost with the mind."""
        self.n_crashes += 1
        if self.n_crashes % 2 and self.row.study.state is StudyState.RUNNING:
            mind = self.mind or self.rebuilt()
            fleet = Fleet(self.absent, self.store.n_open(self.study.id))
            finished = self.store.finished(self.study.id, 4)
            advance(mind, finished, target=self.study.spec.strategy.in_flight, fleet=fleet)
        self.mind = None

    def finish(self, *, state: State = State.COMPLETED, violation: float = 0.0, newest: bool = False) -> None:
        """An evaluation ends; `newest` lets one be overtaken. Absent kinds measure nothing."""
        lease = self.world.lease(self.present)
        if lease is not None:
            self.held.append(lease)
        self.held = [each for each in self.held if each.state is State.RUNNING]
        if not self.held:
            return
        row = self.held.pop(-1 if newest else 0)
        architecture = self.row.trials[row.number].new.proposal.architecture
        values = toy_values(architecture, row.new.stage, round_=row.new.round, kind=row.new.device_kind)
        self.world.finish(row, values if state is not State.INFEASIBLE else {}, state=state, violation=violation)

    def lose(self) -> None:
        lease = self.world.lease(self.present)
        if lease is not None:
            self.world.lose(lease)

    def relax(self, nth: int) -> None:
        """One of the trials that wait for devices alone ends without them."""
        waits = [trial.new.number for trial in self.row.trials if trial.state in {State.QUEUED, State.RUNNING}]
        if waits:
            self.world.relax(self.study.id, waits[nth % len(waits)])

    def revise(self, number: int) -> None:
        done = [trial.new.number for trial in self.row.trials if trial.state is State.COMPLETED]
        if done:
            chosen = done[number % len(done)]
            old = self.row.trials[chosen].values["val_error"]
            self.world.revise(self.study.id, chosen, {"val_error": round((old * 7 + number) % 1, 3)})

    def do(self, action: str, nth: int) -> None:
        actions = {
            "tick": lambda: self.tick(limit=1 + nth % 5),
            "finish": self.finish,
            "late": lambda: self.finish(newest=True),
            "fault": lambda: self.finish(state=State.INFEASIBLE, violation=0.5),
            "prune": lambda: self.finish(state=State.PRUNED),
            "lose": self.lose,
            "revise": lambda: self.revise(nth),
            "crash": self.crash,
            "relax": lambda: self.relax(nth),
            "go": lambda: self.go(self.study.spec.device_kinds()[1:]),
            "come": lambda: self.go(()),
        }
        actions[action]()

    def go(self, kinds: Sequence[str]) -> None:
        """These have no worker from now on."""
        self.absent = frozenset(kinds)

    def play_out(self, *, limit: int = 4000) -> None:
        """Everything that is left ends well."""
        self.absent = frozenset()
        for _ in range(limit):
            if self.row.study.state is not StudyState.RUNNING:
                return
            self.tick()
            for each in self.world.evaluations:
                if each.state is State.RUNNING and each not in self.held:
                    self.held.append(each)
            self.finish()
        raise AssertionError("the study did not end")

    def check_laws(self) -> None:
        row = self.row
        assert [fact.seq for fact in row.facts] == list(range(1, len(row.facts) + 1))
        assert [trial.new.number for trial in row.trials] == list(range(len(row.trials)))
        keys = [trial.new.proposal.architecture.key for trial in row.trials]
        assert len(set(keys)) == len(keys)
        charged = [trial for trial in row.trials if trial.state not in REFUNDED]
        assert len(charged) <= self.study.spec.budget.trials
        trials, facts = self.store.history(self.study.id)
        assert replay(StudyMind(toy_parts(row.study)), trials, facts) == []
        for kind, front in self.rebuilt().fronts.items():
            assert front.members == brute_force(self.rebuilt(), kind)
            assert self.stored_front(kind) == set(front.members)

    def stored_front(self, kind: str) -> set[int]:
        members: set[int] = set()
        for change in self.row.fronts:
            if change.device_kind == kind:
                assert not members & set(change.entered)
                assert set(change.left) <= members
                members = (members | set(change.entered)) - set(change.left)
                assert change.size == len(members)
        return members


def brute_force(mind: StudyMind, kind: str) -> tuple[int, ...]:
    """The feasible, fully evaluated, non-dominated trials, from the history alone."""
    front = mind.fronts[kind]
    values = {fact.trial: fact.values for fact in mind.history.facts}
    numbers = [
        number
        for number in range(len(mind.history))
        if mind.history.state(number) is State.COMPLETED
        and mind.history.violations[number] == 0
        and violation(front.limits, values[number]) == 0
        and np.isfinite(front.losses(mind.history, [number])).all()
    ]
    mask = non_dominated(front.losses(mind.history, numbers).reshape(-1, len(front.objectives)))
    return tuple(number for number, keep in zip(numbers, mask, strict=True) if keep)


def figures(mind: StudyMind) -> dict[str, object]:
    """All of a mind's state, for comparison."""
    return {
        "keys": [architecture.key for architecture in mind.history.architectures],
        "in_flight": mind.history.in_flight,
        "facts": mind.history.facts,
        "losses": np.nan_to_num(mind.history.losses, nan=-1.0).tolist(),
        "tally": {state: n for state, n in mind.tally.items() if n},
        "fronts": {kind: front.members for kind, front in mind.fronts.items()},
        "boxes": {kind: front.box for kind, front in mind.fronts.items()},
        "awaited": mind.rounds.awaited,
        "used_s": mind.used_s,
        "charged": mind.n_charged,
    }
