"""Random lives of a study: results, losses, revisions and crashes in any order leave the laws standing."""

from __future__ import annotations

import numpy as np
import pytest
from fakes_trials import FakeLeadership, FakeTrialStore
from fakes_world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_study import BASELINES, toy_parts, toy_spec, toy_study, toy_values

from nasd.controller.advance import advance
from nasd.controller.mind import REFUNDED, StudyMind, rebuild
from nasd.controller.plan import is_empty
from nasd.controller.replay import replay
from nasd.domain.lifecycle import State
from nasd.domain.pareto import non_dominated
from nasd.errors import Deposed
from nasd.ports.trials import StudyState

ACTIONS = st.lists(
    st.sampled_from(
        ["tick", "tick", "finish", "finish", "finish", "late", "lose", "fault", "prune", "revise", "crash"]
    ),
    max_size=120,
)


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

    @property
    def row(self):
        return self.world.rows[self.study.id]

    def rebuilt(self) -> StudyMind:
        study = self.row.study
        trials, facts = self.store.history(study.id)
        return rebuild(toy_parts(study), trials, facts, reference=study.reference, used_s=study.used_s)

    def tick(self, *, limit: int = 4) -> None:
        if self.row.study.state is not StudyState.RUNNING:
            return
        self.mind = self.mind or self.rebuilt()
        finished = self.store.finished(self.study.id, limit)
        target = self.study.spec.strategy.in_flight
        step = advance(self.mind, finished, target=target)
        if not is_empty(step):
            self.store.apply(self.epoch, step)

    def crash(self) -> None:
        """Between `advance` and `apply` every second time: the step is lost with the mind."""
        self.n_crashes += 1
        if self.n_crashes % 2 and self.row.study.state is StudyState.RUNNING:
            mind = self.mind or self.rebuilt()
            advance(mind, self.store.finished(self.study.id, 4), target=self.study.spec.strategy.in_flight)
        self.mind = None

    def finish(self, *, state: State = State.COMPLETED, violation: float = 0.0, newest: bool = False) -> None:
        """An evaluation ends; `newest` lets one be overtaken."""
        lease = self.world.lease()
        if lease is not None:
            self.held.append(lease)
        self.held = [each for each in self.held if each.state is State.RUNNING]
        if not self.held:
            return
        row = self.held.pop(-1 if newest else 0)
        architecture = self.row.trials[row.number].new.proposal.architecture
        values = toy_values(architecture, row.new.stage, round_=row.new.round)
        self.world.finish(row, values if state is not State.INFEASIBLE else {}, state=state, violation=violation)

    def lose(self) -> None:
        lease = self.world.lease()
        if lease is not None:
            self.world.lose(lease)

    def revise(self, number: int) -> None:
        done = [trial.new.number for trial in self.row.trials if trial.state is State.COMPLETED]
        if done:
            chosen = done[number % len(done)]
            old = self.row.trials[chosen].values["val_error"]
            self.world.revise(self.study.id, chosen, {"val_error": round((old * 7 + number) % 1, 3)})

    def do(self, action: str, nth: int) -> None:
        match action:
            case "tick":
                self.tick(limit=1 + nth % 5)
            case "finish":
                self.finish()
            case "late":
                self.finish(newest=True)
            case "fault":
                self.finish(state=State.INFEASIBLE, violation=0.5)
            case "prune":
                self.finish(state=State.PRUNED)
            case "lose":
                self.lose()
            case "revise":
                self.revise(nth)
            case "crash":
                self.crash()

    def play_out(self, *, limit: int = 4000) -> None:
        """Everything that is left ends well."""
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
        assert replay(StudyMind(toy_parts(self.study)), trials, facts) == []
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
    numbers = [
        number
        for number in range(len(mind.history))
        if mind.history.state(number) is State.COMPLETED
        and mind.history.violations[number] == 0
        and np.isfinite(mind.history.losses[number]).all()
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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    actions=ACTIONS,
    in_flight=st.integers(1, 6),
    trials=st.integers(1, 24),
    rounds=st.integers(1, 3),
    use=st.sampled_from(["random", "nsga2"]),
    max_params=st.sampled_from([None, 4000.0]),
    baselines=st.booleans(),
)
def test_any_life_of_a_study_keeps_budget_order_fronts_and_replay(actions, **spec):
    """What a crash, a loss or a straggler may never change."""
    life = Life(**spec)
    for nth, action in enumerate(actions):
        life.do(action, nth)
    life.check_laws()
    life.play_out()
    life.check_laws()
    ended = [trial for trial in life.row.trials if trial.state not in REFUNDED]
    assert len(ended) == spec["trials"]
    assert life.row.study.state is StudyState.COMPLETED


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS, rounds=st.integers(1, 3), trials=st.integers(1, 20))
def test_a_rebuilt_mind_is_the_one_that_crashed(actions, rounds, trials):
    """A restart must not be visible in anything that the controller knows."""
    life = Life(rounds=rounds, trials=trials)
    for nth, action in enumerate(actions):
        if action != "crash":
            life.do(action, nth)
    life.tick()
    if life.row.study.state is StudyState.RUNNING:
        assert figures(life.mind) == figures(life.rebuilt())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(crashes=st.lists(st.integers(0, 60), max_size=6), seed=st.integers(0, 3))
def test_a_study_of_one_worker_killed_anywhere_has_the_rows_of_an_undisturbed_one(crashes, seed):
    """With no look-ahead there is one order of results, so the whole search must be reproduced."""
    rows = []
    for kills in ((), crashes):
        life = Life(in_flight=1, trials=18, seed=seed)
        for nth in range(4000):
            if life.row.study.state is not StudyState.RUNNING:
                break
            if nth in kills:
                life.crash()
            life.tick()
            life.finish()
        rows.append(([trial.new for trial in life.row.trials], life.row.facts, life.row.fronts, life.row.study))
    assert rows[0] == rows[1]


def test_a_step_of_the_deposed_is_refused():
    """Two controllers that both plan would record two different searches."""
    life = Life()
    life.tick()
    FakeLeadership(life.world).take("other", depose=life.epoch)
    for _ in range(6):
        life.finish()
    with pytest.raises(Deposed):
        life.tick()


def test_a_lost_trial_is_refunded_and_replaced():
    """A worker that dies must not shorten the search."""
    life = Life(trials=5, in_flight=1)
    life.tick()
    life.lose()
    life.lose()
    life.play_out()
    assert [trial.state for trial in life.row.trials].count(State.FAILED) == 1
    assert len(life.row.trials) == 6
    assert [trial.new.proposal.notes.get("name") for trial in life.row.trials[:3]] == [name for name, _ in BASELINES]
