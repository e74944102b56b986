"""Hard limits, whatever they are on: facts say by how much they are broken, and have the values that models need."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_study import SPACE, toy_parts, toy_spec, toy_study, toy_values

from nasd.controller.advance import advance
from nasd.controller.mind import StudyMind
from nasd.controller.objectives import history_limits, scalar_terms, wanted_ranges
from nasd.domain.ids import LOCAL, DeviceKind, TrialId
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.objective import violation
from nasd.domain.scalar import Term
from nasd.domain.study import (
    Direction,
    EvaluationSpec,
    LimitSpec,
    ModelSpec,
    ObjectiveSpec,
    RangeSpec,
    ScalarSpec,
    StudySpec,
)
from nasd.ports.trials import Finished, NewTrial

CUSTOM = ModelSpec(build="cam.models:build")  # its counts are known from results only
CASES = {
    "measured": (LimitSpec(of="latency_ms", max=1.0), ModelSpec(), None),
    "counted ahead": (LimitSpec(of="flops", max=20_000), ModelSpec(), None),
    "counted on the module": (LimitSpec(of="flops", max=20_000), CUSTOM, None),
    "reported": (LimitSpec(of="energy", min=10.0, max=400.0), ModelSpec(), EvaluationSpec(run="cam:run")),
    "trained": (LimitSpec(of="val_loss", max=0.3), ModelSpec(), None),
}


def spec_of(case: str) -> StudySpec:
    limit, model, evaluation = CASES[case]
    objectives = {"val_error": ObjectiveSpec(), "params": ObjectiveSpec()}
    return replace(
        toy_spec(trials=60), objectives=objectives, limits=(limit,), model=model, evaluation=evaluation
    )  # fmt: skip


def finished(trial: NewTrial) -> Finished:
    """With everything that an evaluation could give."""
    architecture = trial.proposal.architecture
    values = {**toy_values(architecture, Stage.MEASURE), **toy_values(architecture, Stage.TRAIN)}
    values |= {"energy": 1000 * values["latency_ms"], "val_loss": 3 * values["val_error"]}
    counts = {name: float(count) for name, count in SPACE.counts(architecture).items()}
    state = State.COMPLETED if trial.evaluations else State.INFEASIBLE
    known = {**values, **counts} if trial.evaluations else dict(trial.counts)
    return Finished(TrialId(trial.number + 1), trial.number, "result", state, known, trial.violation)


@pytest.mark.parametrize("case", CASES)
def test_a_limit_on_any_quantity_ends_as_a_violation_and_its_value_is_in_the_facts(case):
    """Strategies rank by the one and model the other, whether or not it is an objective."""
    spec, limit = spec_of(case), CASES[case][0]
    mind = StudyMind(toy_parts(toy_study(spec)))
    step = advance(mind, [], target=6)
    while step.trials:
        step = advance(mind, [finished(trial) for trial in step.trials], target=6)

    facts = mind.history.facts
    assert len(facts) == 60
    assert all(limit.of in fact.values for fact in facts)
    assert all(fact.violation == violation(history_limits(spec), fact.values) for fact in facts)
    broken = {fact.trial for fact in facts if fact.violation > 0}
    assert 0 < len(broken) < 60
    assert broken.isdisjoint(mind.fronts[LOCAL].members)
    np.testing.assert_array_equal(mind.history.violations > 0, [number in broken for number in range(60)])


@pytest.mark.parametrize(("case", "stage"), [("measured", Stage.MEASURE), ("trained", Stage.TRAIN)])
def test_a_limited_quantity_is_evaluated_though_it_is_no_objective(case, stage):
    """Otherwise nobody would ever know whether the limit is kept."""
    assert stage in spec_of(case).stages()


def test_the_scalar_is_accuracy_less_weighed_logarithms_of_costs():
    """As [scalar] writes it; val_error has weight 1 where the table does not name it."""
    spec = toy_spec()
    costs = {"params": ScalarSpec(weight=0.05, at=1e5), "latency_ms": ScalarSpec(weight=0.02, at=1.0)}

    assert scalar_terms(spec) == ()
    assert scalar_terms(replace(spec, scalar=costs)) == (
        Term("val_error", -1.0, constant=1.0),
        Term("latency_ms", -0.02, at=1.0),
        Term("params", -0.05, at=1e5),
    )
    other = {"val_error": ScalarSpec(weight=0.0), "params": ScalarSpec(at=10.0)}
    assert scalar_terms(replace(spec, scalar=other)) == (Term("params", -1.0, at=10.0),)


def test_what_is_maximised_adds_and_what_several_kinds_measure_counts_by_its_mean():
    """A table entry speaks of a quantity, a history has a column for each kind."""
    objectives = {"val_error": ObjectiveSpec(), "latency_ms": ObjectiveSpec(on=("pi5", "orin"))}
    spec = replace(toy_spec(), objectives=objectives, scalar={"latency_ms": ScalarSpec(weight=0.2, at=5.0)})
    score = replace(
        toy_spec(),
        evaluation=EvaluationSpec(run="cam:run"),
        objectives={"score": ObjectiveSpec(direction=Direction.MAX)},
        scalar={"score": ScalarSpec(weight=2.0)},
    )

    assert scalar_terms(spec)[1:] == (
        Term("latency_ms@pi5", -0.1, at=5.0),
        Term("latency_ms@orin", -0.1, at=5.0),
    )
    assert scalar_terms(score) == (Term("score", 2.0),)
    assert scalar_terms(spec, DeviceKind("orin"))[1:] == (Term("latency_ms", -0.2, at=5.0),)  # as its strategy sees it
    wanted = replace(spec, preference={"latency_ms": RangeSpec(best=1.0, worst=20.0)})
    assert wanted_ranges(wanted, DeviceKind("pi5")) == {"latency_ms": (1.0, 20.0)}
