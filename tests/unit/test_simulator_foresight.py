"""What `nasd plan` foresees: durations of timed networks in a simulated study, and the rule of expectation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toy_study import DATA

import nasd.spaces
from nasd.app.foresight import MOST_SIMULATED, expected, foresee
from nasd.app.plan import Timing
from nasd.app.prepared import Prepared
from nasd.domain.data import Problem
from nasd.domain.study import BudgetSpec, LimitSpec, ObjectiveSpec, StrategySpec, StudySpec

ALIKE = (Timing(name="smallest", params=1_000, train_s=10.0), Timing(name="largest", params=9_000_000, train_s=10.0))
UNEQUAL = (Timing(name="smallest", params=1_000, train_s=1.0), Timing(name="largest", params=9_000_000, train_s=1000.0))


def prepared(**changes):
    fields = {
        "name": "s",
        "objectives": {"val_error": ObjectiveSpec(), "params": ObjectiveSpec(), "latency_ms": ObjectiveSpec()},
        "budget": BudgetSpec(trials=60),
    }
    spec = StudySpec(**{**fields, **changes})
    space = nasd.spaces.build(spec.space, Problem(input_shape=(16,), n_outputs=10))
    return Prepared(folder=Path(), spec=spec, facts=replace(DATA, input_shape=(16,)), space=space)


def test_where_all_networks_take_as_long_the_time_is_trials_over_speed():
    found = foresee(prepared(), ALIKE, speeds=(1.0, 1.0, 4.0))

    assert found.trials == 60
    assert found.wall_s == pytest.approx(60 * 10 / 6, rel=0.15)
    assert found.utilisation > 0.98


def test_durations_lie_between_those_of_the_timed_networks():
    found = foresee(prepared(), UNEQUAL, speeds=(1.0,))

    assert 60 * 1.0 < found.wall_s < 60 * 1000.0


def test_a_long_study_goes_on_at_the_pace_of_its_beginning():
    """What is simulated is bounded; what is said is not."""
    found = foresee(prepared(budget=BudgetSpec(trials=10 * MOST_SIMULATED)), ALIKE, speeds=(1.0,) * 4)

    assert found.trials == 10 * MOST_SIMULATED
    assert found.wall_s == pytest.approx(10 * MOST_SIMULATED * 10 / 4, rel=0.15)


def test_a_budget_of_time_says_how_many_trials_there_will_be():
    found = foresee(prepared(budget=BudgetSpec(time_s=200.0)), ALIKE, speeds=(1.0, 1.0))

    assert 38 <= found.trials <= 48


def test_limits_that_need_real_values_are_not_judged_by_made_up_ones():
    """An invented latency must not end an imagined study."""
    limits = (LimitSpec(of="latency_ms", max=1e-9),)

    assert foresee(prepared(limits=limits), ALIKE, speeds=(1.0,)).trials == 60


def test_nothing_is_foreseen_where_nothing_was_timed():
    broken = (Timing(name="smallest", params=1, problem="does not fit"),)

    assert foresee(prepared(), (), speeds=(1.0,)) is None
    assert foresee(prepared(), broken, speeds=(1.0,)) is None


def test_the_strategy_that_was_simulated_is_named():
    """Random search is simulated as itself; of any other a quick evolution stands in."""
    random = prepared(strategy=StrategySpec(use="random"))

    assert foresee(random, ALIKE, speeds=(1.0,)).searched_by == "random"
    assert foresee(prepared(), ALIKE, speeds=(1.0,)).searched_by == "nsga2"


@pytest.mark.parametrize(
    ("trials", "space_size", "n_decisions", "strategy", "says"),
    [
        (None, 10**6, 8, None, "nothing could be timed"),
        (60, 100, 4, None, "try most of the 100 networks"),
        (15, 10**6, 8, None, "too few to learn from"),
        (24, 10**6, 8, "screened", "3 trials a decision are few, but enough, for its model"),
        (100, 10**6, 8, "screened", "params of a network is known before it is trained"),
    ],
)
def test_the_expectation_follows_its_rule(trials, space_size, n_decisions, strategy, says):
    found = expected(prepared().spec, trials=trials, space_size=space_size, n_decisions=n_decisions)

    assert found.strategy == strategy
    assert says in found.why
