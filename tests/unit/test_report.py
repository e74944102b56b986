"""The closing lines compare like with like."""

import pytest

from nasd.app.report import ScalarBest, best_by_scalar, compare, sentences
from nasd.domain.study import BudgetSpec, ObjectiveSpec, ScalarSpec, StudySpec
from nasd.studyfile import spec_to_json


def row(trial, error, params, latency, *, spread=0.007, baseline=None, state="completed"):
    objectives = {
        "val_error": {"value": error, "spread": spread},
        "params": {"value": params},
        "latency_ms": {"value": latency},
    }
    return {"trial": trial, "objectives": objectives, "baseline": baseline, "state": state}


COSTS = ("params", "latency_ms")
MEDIUM = row(1, 0.016, 150_000, 0.15, baseline="medium")


def test_the_cheapest_member_within_one_standard_error_is_chosen():
    """The single best error is mostly luck; what can't be told from it and costs less is the result."""
    comparison = compare(
        [row(7, 0.014, 600_000, 0.3), row(8, 0.019, 30_000, 0.05), row(9, 0.05, 10_000, 0.04)], [MEDIUM], costs=COSTS
    )

    assert comparison is not None
    assert (comparison.member.trial, comparison.best.trial) == (8, 7)
    assert comparison.ratios == pytest.approx({"params": 5.0, "latency_ms": 3.0})
    assert "5.0 times fewer parameters, 3.0 times lower latency" in sentences(comparison)[0]
    assert "same validation error within one standard error" in sentences(comparison)[0]


def test_a_dearer_member_is_said_to_be_dearer():
    comparison = compare([row(7, 0.001, 300_000, 0.3)], [MEDIUM], costs=COSTS)

    assert (
        "1.5 percentage points lower, 2.0 times more parameters, 2.0 times higher latency" in sentences(comparison)[0]
    )


def test_a_cost_that_is_level_is_said_to_be_level():
    """`1.0 times more parameters` says nothing; and where error is the only objective no comma hangs."""
    level = compare([row(7, 0.001, 150_300, 0.15)], [MEDIUM], costs=COSTS)
    alone = compare([row(7, 0.001, 150_300, 0.15)], [MEDIUM], costs=())

    assert sentences(level)[0].endswith("points lower, about the same parameters, about the same latency")
    assert sentences(alone)[0].endswith("1.5 percentage points lower")


def test_the_baseline_itself_is_not_reported_as_a_find():
    assert sentences(compare([MEDIUM], [MEDIUM], costs=COSTS))[0].startswith("nothing on the front is cheaper")


def test_without_a_finished_baseline_nothing_is_claimed():
    assert compare([row(7, 0.014, 1, 1)], [row(1, 0.1, 1, 1, baseline="medium", state="failed")], costs=COSTS) is None
    assert compare([], [MEDIUM], costs=COSTS) is None


def scalarised(scalar: dict[str, object]) -> dict[str, object]:
    """The row of a study with this [scalar]."""
    spec = StudySpec(
        name="kitchen",
        objectives={"val_error": ObjectiveSpec(), "params": ObjectiveSpec(), "latency_ms": ObjectiveSpec()},
        scalar=scalar,
        budget=BudgetSpec(trials=1),
    )
    return spec_to_json(spec)


def test_the_best_by_the_scalar_is_found_on_the_front():
    """What a scalarised study was after; the front is there beside it."""
    front = [row(7, 0.014, 600_000, 0.3), row(8, 0.02, 30_000, 0.05), row(9, 0.5, 10_000, 0.04)]
    small = {"params": ScalarSpec(weight=0.1, at=30_000.0)}

    assert best_by_scalar(scalarised({}), front) is None
    assert best_by_scalar(scalarised(small), []) is None
    assert best_by_scalar(scalarised(small), front) == ScalarBest(8, pytest.approx(0.98))
    assert best_by_scalar(scalarised({"params": ScalarSpec(weight=0.001, at=30_000.0)}), front).trial == 7
