"""Costs that the user's own function knows ahead: what they feed, and the one sentence each mistake gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_study import SPACE, toy_parts, toy_spec, toy_study

from nasd.controller.advance import advance
from nasd.controller.costs import declared_costs
from nasd.controller.mind import StudyMind
from nasd.controller.strategy import build_strategy, known_ahead
from nasd.daemon.parts import build_parts
from nasd.domain.architecture import Architecture
from nasd.domain.ids import TrialId
from nasd.domain.lifecycle import State
from nasd.domain.study import BudgetSpec, EvaluationSpec, LimitSpec, ObjectiveSpec, ParameterSpec, SpaceSpec, StudySpec
from nasd.errors import FunctionError, UserError
from nasd.ports.trials import Finished, NewTrial
from nasd.strategies import KNOWN
from nasd.strategies.base import Costs, nothing_known


def users_spec(function: str, *, kind: str = "custom") -> StudySpec:
    space = SpaceSpec(kind=kind, params={"x": ParameterSpec(int_range=(1, 9))} if kind == "custom" else {})
    return StudySpec(
        name="toy",
        space=space,
        evaluation=EvaluationSpec(run="user_functions:arithmetic", costs=f"user_costs:{function}"),
        objectives={"cost": ObjectiveSpec(), "gain": ObjectiveSpec()},
        limits=(LimitSpec(of="params", max=1e9),),
        budget=BudgetSpec(trials=10),
    )


def x(value: int) -> Architecture:
    return Architecture.of("custom", {"x": value})


def test_a_good_function_declares_numbers_by_name():
    """Called with plain genes, as `evaluation.run` is."""
    declared = declared_costs(users_spec("good"), allow=("user_costs",))

    assert declared(x(4)) == {"cost": 8.0}
    assert declared_costs(toy_spec(), allow=()) is nothing_known


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("raises", "it raised KeyError: 'width' (user_costs.py:"),
        ("exits", "it raised SystemExit: 3"),
        ("not_a_dict", "it returned float, not a dict of numbers"),
        ("not_a_number", "it returned cost = '7', not a finite number"),
        ("not_finite", "it returned cost = inf, not a finite number"),
        ("half_a_parameter", "it returned params = 1.5, not a whole number from 0"),
        ("empty", "it returned an empty dict"),
        ("nobodys_name", "it returned costs, which is no objective or limit; known: cost, gain, params"),
    ],
)
def test_nonsense_is_answered_with_the_architecture_and_the_line(function, problem):
    """The study is stopped with this sentence; it is all that the user will read."""
    declared = declared_costs(users_spec(function), allow=None)
    with pytest.raises(FunctionError) as caught:
        declared(x(4))

    start = f'evaluation.costs = "user_costs:{function}": for {{"genes":{{"x":4}},"space":"custom"}} '
    assert str(caught.value).startswith(start + problem)
    assert str(caught.value).endswith("Mend the function")
    assert "\n" not in str(caught.value)


def test_other_names_for_another_architecture_are_refused():
    """A strategy that knows a cost of one architecture and not of the next would compare nothing with something."""
    declared = declared_costs(users_spec("now_and_then"), allow=None)
    declared(x(4))
    with pytest.raises(FunctionError, match="returned cost, gain, and of another one cost"):
        declared(x(6))


def test_what_the_space_counts_is_not_to_be_declared():
    """Two exact values of one quantity are one too many; of a custom space nobody else knows it."""
    with pytest.raises(FunctionError, match="returned params, which the space counts itself"):
        declared_costs(users_spec("counted", kind="mlp"), allow=None)(x(1))
    assert repr(declared_costs(users_spec("counted"), allow=None)(x(1))) == "{'params': 1}"  # SQL casts it to bigint


def test_a_package_that_is_not_allowed_stops_a_study_at_its_first_proposal_and_not_before():
    """A controller that may not run a study's code must not stop it while it is only paused."""
    parts = build_parts(toy_study(users_spec("good")), allow=("another_package",))
    paused = advance(StudyMind(parts), [], target=2, admit=False)
    with pytest.raises(
        FunctionError, match=r"may not import user_costs\. Start it with --allow user_costs, .* nasd resume toy"
    ):
        advance(StudyMind(parts), [], target=2)

    assert (paused.trials, paused.state) == ((), None)


def latency(architecture: Architecture) -> dict[str, float]:
    return {"latency_ms": SPACE.counts(architecture)["params"] / 1000}


def mind_of(declared: Costs, *, max_latency_ms: float) -> StudyMind:
    spec = replace(toy_spec(trials=20), limits=(LimitSpec(of="latency_ms", max=max_latency_ms),))
    return StudyMind(toy_parts(toy_study(spec), declared=declared))


def finished(trial: NewTrial, **values: float) -> Finished:
    return Finished(TrialId(trial.number + 1), trial.number, "result", State.COMPLETED, values, 0.0)


def test_what_breaks_a_limit_by_its_declared_cost_is_infeasible_at_once():
    """As with counts: never queued, and its values are there for whoever asks why."""
    trials = advance(mind_of(latency, max_latency_ms=2.0), [], target=8).trials

    over = [trial for trial in trials if latency(trial.proposal.architecture)["latency_ms"] > 2.0]
    assert 0 < len(over) < len(trials)
    assert all(bool(trial.evaluations) == (trial not in over) for trial in trials)
    assert all(trial.violation == pytest.approx(trial.counts["latency_ms"] / 2 - 1) for trial in over)
    assert all(trial.counts.items() >= latency(trial.proposal.architecture).items() for trial in trials)
    assert all(trial.units == {"params": "count", "flops": "count", "latency_ms": "ms"} for trial in trials)


@pytest.mark.parametrize(("factor", "agrees"), [(1.0, True), (1 + 1e-7, True), (1.001, False)])
def test_a_reported_value_that_contradicts_the_declared_one_ends_the_search(factor, agrees):
    """A search that is led by wrong costs is led astray, trial by trial, and nobody would notice."""
    mind = mind_of(latency, max_latency_ms=1e9)
    trial = advance(mind, [], target=1).trials[0]
    declared = latency(trial.proposal.architecture)["latency_ms"]
    result = finished(trial, val_error=0.5, params=1.0, latency_ms=factor * declared)
    if agrees:
        assert advance(mind, [result], target=1).facts
        return
    with pytest.raises(UserError, match=r"evaluation\.costs: declares latency_ms = 0\.\d+ for trial 0, and .* reports"):
        advance(mind, [result], target=1)


def test_what_did_not_complete_contradicts_nothing():
    """It has the values of its declaration, which an older version of the function may have made."""
    mind = mind_of(latency, max_latency_ms=1e9)
    trial = advance(mind, [], target=1).trials[0]
    lost = replace(finished(trial, latency_ms=1e6), state=State.INFEASIBLE)

    assert advance(mind, [lost], target=1).facts[0].state is State.INFEASIBLE


def test_strategies_are_told_counts_and_declared_costs_together():
    """What is known exactly need not be modelled."""
    architecture = SPACE.sample(np.random.default_rng(0))

    both = known_ahead(SPACE.counts, latency)(architecture)
    assert both == {**SPACE.counts(architecture), **latency(architecture)}
    assert known_ahead(SPACE.counts, nothing_known) == SPACE.counts
    assert known_ahead(nothing_known, latency) is latency
    assert known_ahead(nothing_known, nothing_known) is nothing_known


def test_building_a_strategy_calls_no_users_code():
    """A study that is only looked at must not need it."""

    def never(_architecture: Architecture) -> dict[str, float]:
        raise AssertionError

    for name in KNOWN:
        build_strategy(toy_spec(use=name), SPACE, declared=never)
