"""The arithmetic of `nasd plan`, without building a network."""

import numpy as np
import pytest

from nasd import spaces
from nasd.app.plan import Spend, Timing, decisions, extremes, spend, stage_needs, warnings
from nasd.domain.data import Problem
from nasd.domain.study import (
    BudgetSpec,
    EvaluationSpec,
    ModelSpec,
    ObjectiveSpec,
    ParameterSpec,
    Role,
    SpaceSpec,
    StudySpec,
    TrainSpec,
)

RANDOM = [Timing(name=f"random {n}", params=20, train_s=2.0) for n in range(3)]
TIMINGS = [Timing(name="smallest", params=1, train_s=1.0), Timing(name="largest", params=99, train_s=10.0), *RANDOM]


def study(**parts):
    """A study with the parts a case is about."""
    parts = {"objectives": {"val_error": ObjectiveSpec()}, "budget": BudgetSpec(trials=60)} | parts
    return StudySpec(name="kitchen", **parts)


def mlp(**options):
    """The MLP space on digits, narrowed."""
    params = {name: ParameterSpec(choice=kept) for name, kept in options.items()}
    return spaces.build(SpaceSpec(params=params), Problem(input_shape=(64,), n_outputs=10))


def test_trials_bound_the_time():
    """60 trials by 2 workers: 30 s for the smallest, 300 s for the largest."""
    trials, wall = spend(study(), TIMINGS, workers=2)

    assert trials == Spend(least=60, likely=60, most=60)
    assert wall == Spend(least=30.0, likely=60.0, most=300.0)


def test_time_bounds_the_trials():
    """With time alone, the slowest networks give the fewest trials."""
    trials, wall = spend(study(budget=BudgetSpec(time_s=100.0)), TIMINGS, workers=2)

    assert trials == Spend(least=20, likely=100, most=200)
    assert wall == Spend(least=100.0, likely=100.0, most=100.0)


def test_the_first_of_both_budgets_ends_a_study():
    """Neither is exceeded in any estimate."""
    trials, wall = spend(study(budget=BudgetSpec(trials=60, time_s=100.0)), TIMINGS, workers=2)

    assert trials == Spend(least=20, likely=60, most=60)
    assert wall == Spend(least=30.0, likely=60.0, most=100.0)


def test_nothing_timed_means_no_hours():
    """A stand-in would be believed."""
    broken = [Timing(name="smallest", params=1, problem="does not fit")]

    assert spend(study(), [], workers=2) == (Spend(least=60, likely=60, most=60), None)
    assert spend(study(budget=BudgetSpec(time_s=9.0)), broken, workers=2) == (None, None)


def test_a_layer_that_may_not_exist_still_counts_as_decisions():
    """Depth decides which widths exist; the deepest network has them all."""
    assert decisions(mlp(), np.random.default_rng(0)) == {
        "activation": 1,
        "dropout": 1,
        "layers": 1,
        "norm": 1,
        "widths": 8,
    }


def test_what_cannot_vary_is_no_decision():
    """One option left is none."""
    fixed = mlp(width=(128,), layers=(2,), activation=("relu",))

    assert decisions(fixed, np.random.default_rng(0)) == {"dropout": 1, "norm": 1}


def test_extremes_are_the_fewest_and_most_parameters():
    """Climbing ends at the corners of the space."""
    space = mlp()
    smallest, largest = extremes(space, np.random.default_rng(0))

    assert smallest["widths"] == (128, 128)
    assert smallest["norm"] == "none"
    assert largest["widths"] == (1024,) * 8
    assert largest["norm"] != "none"


def test_a_space_of_one_has_equal_extremes():
    """Mutation has nowhere to go."""
    space = mlp(width=(128,), layers=(2,), activation=("relu",), norm=("none",), dropout=(0.0,))
    smallest, largest = extremes(space, np.random.default_rng(0))

    assert smallest == largest


@pytest.mark.parametrize(("trials", "is_warned"), [(59, True), (60, False)])
def test_below_five_trials_per_decision_is_warned_of(trials, is_warned):
    """Twelve decisions: 60 trials are just enough."""
    spec = study(budget=BudgetSpec(trials=trials))
    found = warnings(
        spec,
        by_gene={"layers": 1, "widths": 8, "norm": 3},
        trials=Spend(least=trials, likely=trials, most=trials),
        space_size=10**6,
        timings=TIMINGS,
    )

    assert bool(found) == is_warned
    if is_warned:
        assert "space.params.width" in found[0]
        assert "budget.trials = 60" in found[0]


def test_where_no_choice_stands_out_none_is_blamed():
    """Sixteen equal decisions: the first in the alphabet is not the one to give up."""
    by_gene = {f"gene{n}": 1 for n in range(16)}
    (found,) = warnings(
        study(), by_gene=by_gene, trials=Spend(least=60, likely=60, most=60), space_size=10**6, timings=TIMINGS
    )

    assert "gene" not in found
    assert "some parameters of [space.params]" in found
    assert found.endswith("or set budget.trials = 80")


def test_a_problem_that_all_networks_have_is_told_once():
    """Five times the same sentence about a mistake in `build` hides what it says."""
    failing = [Timing(name=f"random {n}", params=0, problem="building fails") for n in (1, 2)]
    found = warnings(study(), by_gene={}, trials=None, space_size=9, timings=failing)
    some = warnings(study(), by_gene={}, trials=None, space_size=9, timings=[*failing, *TIMINGS])

    assert found == ("all: building fails",)
    assert some == ("random 1, random 2: building fails",)


@pytest.mark.parametrize(("constraints", "is_exact"), [((), True), (("sum(width) <= 300",), False)])
def test_a_space_that_was_only_bounded_says_so(constraints, is_exact):
    """A constraint over a whole list can't be counted in a large space; its size is no number to believe then."""
    params = {"n": ParameterSpec(int_range=(1, 12)), "width": ParameterSpec(choice=(32, 64, 128), each="n")}
    params["lr"] = ParameterSpec(log_range=(1e-4, 1e-2), role=Role.RECIPE)
    spec = SpaceSpec(kind="custom", params=params, constraints=constraints)

    assert spaces.is_size_exact(spaces.build(spec, Problem(input_shape=(8,), n_outputs=2))) is is_exact


def test_a_training_over_its_time_limit_is_warned_of():
    """Otherwise the largest networks would all fail after hours."""
    spec = study(train=TrainSpec(time_limit_s=5.0))
    found = warnings(spec, by_gene={}, trials=None, space_size=10**6, timings=TIMINGS)

    assert found == ("largest would train 10 s, over train.time_limit; raise it",)


def test_stages_name_what_each_objective_comes_from():
    """Counted quantities need no stage; an own evaluation replaces both."""
    spec = study(
        objectives={"val_error": ObjectiveSpec(), "params": ObjectiveSpec(), "latency_ms": ObjectiveSpec(on=("local",))}
    )
    own = study(evaluation=EvaluationSpec(run="a.b:c"))

    assert [need.gives for need in stage_needs(spec, device="cpu", n_train=1)] == [("latency_ms",), ("val_error",)]
    assert [(need.stage.value, need.gives) for need in stage_needs(own, device="cpu", n_train=1)] == [
        ("run", ("val_error",))
    ]


def test_what_only_a_built_module_tells_comes_from_the_first_stage():
    """Parameters of a module of one's own are counted where it is built, not ahead."""
    spec = study(
        objectives={
            "val_error": ObjectiveSpec(),
            "params": ObjectiveSpec(),
            "latency_ms": ObjectiveSpec(on=("local",)),
        },
        model=ModelSpec(build="cam.models:build"),
    )

    gives = [need.gives for need in stage_needs(spec, device="cpu", n_train=1)]

    assert gives == [("params", "latency_ms"), ("val_error",)]


def test_a_gene_that_exists_or_not_is_no_decision_by_that_alone():
    """One option is one option, however many blocks lack it."""
    params = {
        "blocks": ParameterSpec(int_range=(1, 3)),
        "kernel": ParameterSpec(choice=(3,), each="blocks"),
        "groups": ParameterSpec(choice=(4,), when="blocks > 1"),
    }
    space = spaces.build(SpaceSpec(kind="custom", params=params), Problem(input_shape=(64,), n_outputs=10))

    assert decisions(space, np.random.default_rng(0)) == {"blocks": 1}
