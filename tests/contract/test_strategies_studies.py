"""Every strategy in whole studies, as the controller leads them: late and lost results, small spaces, many workers."""

from __future__ import annotations

import numpy as np
import pytest
from strategy_cases import TINY, case_of, every
from toy_space import ToySpace
from toy_study import toy_parts, toy_spec, toy_study, toy_values

from nasd.controller.advance import advance
from nasd.controller.mind import StudyMind
from nasd.domain.ids import TrialId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.pareto import non_dominated
from nasd.ports.trials import Finished, StudyState

LARGE = ToySpace()


@pytest.fixture(params=every())
def use(request) -> str:
    return request.param


class Life:
    """A study that is led by hand: which trial ends next, and how, is the test's to say."""

    def __init__(self, use: str, *, trials: int, in_flight: int = 8, space: ToySpace = LARGE, **spec: object) -> None:
        name = use.partition(", ")[0]
        study = toy_study(toy_spec(use=name, trials=trials, in_flight=in_flight, baselines=False, **spec))
        self.mind, self.target = StudyMind(toy_parts(study, space=space)), in_flight
        self.state: StudyState | None = None
        self.n_proposed = 0
        self.step([])

    def step(self, finished: list[Finished]) -> None:
        step = advance(self.mind, finished, target=self.target)
        self.n_proposed += len(step.trials)
        if step.state is not None:
            self.state = step.state[0]

    def ended(self, number: TrialNumber, *, state: State = State.COMPLETED) -> Finished:
        architecture = self.mind.history.architectures[number]
        values = {
            **toy_values(architecture, Stage.TRAIN),
            **toy_values(architecture, Stage.MEASURE),
            "params": float(self.mind.parts.space.counts(architecture)["params"]),
        }
        known = values if state is State.COMPLETED else {}
        return Finished(TrialId(number), number, "result", state, known, 0.0)

    def play_out(self, *, seed: int = 0) -> None:
        """Everything ends well, in a random order."""
        draws = np.random.default_rng(seed)
        while self.state is None:
            assert self.mind.history.n_in_flight > 0, "nothing is under way, and the study has not ended"
            self.step([self.ended(TrialNumber(int(draws.choice(self.mind.history.in_flight))))])

    @property
    def front(self) -> set[int]:
        (front,) = self.mind.fronts.values()
        return set(front.members)

    @property
    def front_by_force(self) -> set[int]:
        history = self.mind.history
        rows = np.where(history.violations[:, None] > 0, np.nan, history.losses)
        return set(np.flatnonzero(non_dominated(rows)).tolist())


def test_a_study_ends_complete_when_its_space_is_used_up(use):
    """A budget larger than the space must neither hang nor fail the study."""
    for space in TINY:
        if space.size <= case_of(use).most_members:
            life = Life(use, trials=10_000, space=space)
            life.play_out()
            assert (life.state, life.n_proposed) == (StudyState.COMPLETED, space.size)


def test_every_worker_has_work_from_the_first_minute(use):
    """More workers than the initial design: all of them get a trial, however many there are."""
    life = Life(use, trials=1000, in_flight=50)

    assert life.n_proposed == 50 or case_of(use).waits


def test_late_results_keep_nobody_waiting(use):
    """A straggler holds its own place alone: for each of the others that ends, the next one starts."""
    life = Life(use, trials=1000, in_flight=3)
    straggler, n_trials = life.mind.history.in_flight[0], case_of(use).n(30)
    while life.n_proposed < n_trials:
        life.step([life.ended(life.mind.history.in_flight[-1])])
        assert life.mind.history.n_in_flight == 3
    life.step([life.ended(straggler)])

    assert life.mind.history.n_in_flight == 3
    assert life.front == life.front_by_force


def test_the_front_is_the_same_in_every_learned_order(use):
    """Which results are best does not depend on who was fastest."""
    fronts, n_trials = set(), case_of(use).n(24)
    for seed in range(3):
        life = Life(use, trials=n_trials, in_flight=n_trials)
        life.play_out(seed=seed)
        assert life.state is StudyState.COMPLETED
        assert life.front == life.front_by_force
        fronts.add(frozenset(life.front))

    assert len(fronts) == 1


def test_a_result_that_is_delivered_twice_counts_once(use):
    """Its second copy changes neither the budget nor the front."""
    life = Life(use, trials=case_of(use).n(24))
    while life.state is None:
        item = life.ended(life.mind.history.in_flight[0])
        life.step([item])
        if life.state is None:
            life.step([item])

    assert life.n_proposed == case_of(use).n(24)
    assert life.front == life.front_by_force


def test_lost_trials_are_refunded_and_infeasible_ones_charged(use):
    """The world's faults cost the study time, the candidates' cost it trials; neither stops it."""
    n_trials, n_lost = case_of(use).n(24), 0
    life = Life(use, trials=n_trials)
    while life.state is None:
        number = life.mind.history.in_flight[0]
        fate = (
            State.FAILED
            if number % 5 == 0 and number < 10
            else State.INFEASIBLE
            if number % 3 == 0
            else State.COMPLETED
        )
        n_lost += fate is State.FAILED
        life.step([life.ended(number, state=fate)])

    assert (life.state, life.n_proposed) == (StudyState.COMPLETED, n_trials + n_lost)


def test_a_study_under_a_limit_has_a_front_that_keeps_it(use):
    """What breaks it is ranked behind and is on no front."""
    life = Life(use, trials=case_of(use).n(40), max_params=2000.0)
    life.play_out()
    params = [life.mind.parts.space.counts(each)["params"] for each in life.mind.history.architectures]

    assert life.front == life.front_by_force
    assert all(params[number] <= 2000 for number in life.front)
