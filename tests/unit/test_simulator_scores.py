"""Scores of simulated runs: curves, arrival, paired tests, attainment."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from test_simulator_tables import SPEC, SPEC_AB, table
from toy_space import ToySpace

from nasd.domain.lifecycle import State
from nasd.domain.objective import Limit, Objective, Source
from nasd.domain.scoring import ScoringBox
from nasd.domain.study import BudgetSpec
from nasd.errors import UserError
from nasd.simulator import Run, TrialRow
from nasd.simulator.comparison import Spread, checkpoints, compare, holm, sign_test
from nasd.simulator.drawing import attainment
from nasd.simulator.scores import Curve, Yardstick, curve_of, table_yardstick, union_yardstick

ARCHITECTURE = ToySpace().sample(np.random.default_rng(0))
OBJECTIVES = tuple(Objective(name=name, unit="", source=Source.REPORTED) for name in ("a", "b"))
BOX = ScoringBox(names=("a", "b"), best=(0.0, 0.0), worst=(1.0, 1.0), signs=(1, 1), is_log=(False, False))
YARDSTICK = Yardstick(OBJECTIVES, (), BOX, 1.0, "nobody", lambda row: row.values)


def rows(*values, states=None):
    """A run that learned these (a, b) one a second."""
    states = states or [State.COMPLETED] * len(values)
    trials = tuple(
        TrialRow(
            number=at,
            operator="sample",
            architecture=ARCHITECTURE,
            proposed_at_s=0.0,
            started_at_s=float(at),
            finished_at_s=float(at + 1),
            worker=0,
            state=state,
            values=dict(zip("ab", pair, strict=True)),
            learned_seq=at + 1,
        )
        for at, (pair, state) in enumerate(zip(values, states, strict=True))
    )
    return Run(trials, utilisation=1.0, ask_s=(0.01,), ended="", wall_s=float(len(values)), boxes={})


def test_the_curve_rises_with_what_dominates_and_never_falls():
    share = curve_of(rows((0.5, 0.5), (0.6, 0.6), (0.2, 0.2)), YARDSTICK).share

    assert share[0] == share[1] < share[2]
    assert share[2] == pytest.approx((1.05 - 0.2) ** 2 / 1.05**2)


def test_failed_trials_are_no_evaluations_and_infeasible_ones_are():
    run = rows((0.1, 0.1), (0.2, 0.2), (0.5, 0.5), states=[State.FAILED, State.INFEASIBLE, State.COMPLETED])
    curve = curve_of(run, YARDSTICK)

    assert len(curve.share) == 2
    assert curve.share[0] == 0.0 < curve.share[1]


def test_what_breaks_a_limit_scores_nothing():
    limited = Yardstick(OBJECTIVES, (Limit(of="a", maximum=0.4),), BOX, 1.0, "", lambda row: row.values)

    assert curve_of(rows((0.5, 0.5)), limited).share.tolist() == [0.0]


def test_arrival_is_the_first_evaluation_at_the_share_or_infinite():
    curve = Curve(np.array([0.2, 0.5, 0.5, 0.9]), np.array([3600.0, 7200.0, 7300.0, 9000.0]))

    assert curve.reaches(0.5) == (2.0, 2.0)
    assert curve.reaches(0.95) == (inf, inf)
    assert curve.at(3) == 0.5
    assert curve.at(99) == 0.9


def test_the_median_counts_runs_that_never_arrive_as_infinite():
    assert Spread.of([1.0, 2.0, 3.0, inf]).median == 3.0
    assert Spread.of([1.0, inf, inf]).median is None
    assert Spread.of([1.0, inf, inf]).mean == 1.0


def test_the_sign_test_is_exact():
    """Nine of ten: twice (1 + 10) / 1024."""
    better, worse, p = sign_test([1.0] * 9 + [-1.0] + [0.0] * 3)

    assert (better, worse, p) == (9, 1, pytest.approx(22 / 1024))
    assert sign_test([0.0])[2] == 1.0


def test_holm_multiplies_the_smallest_by_all_and_stays_in_order():
    """Holm 1979's procedure on three values, worked by hand."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_checkpoints_are_those_within_the_budget_and_its_end():
    curve = Curve(np.zeros(70), np.zeros(70))

    assert checkpoints(BudgetSpec(trials=150), []) == (50, 100, 150)
    assert checkpoints(BudgetSpec(trials=200), []) == (50, 100, 200)
    assert checkpoints(BudgetSpec(time_s=5.0), [curve]) == (50, 70)


def test_the_first_named_is_tested_against_every_rival():
    runs = {
        "good": [rows((0.1, 0.1))] * 6,
        "bad": [rows((0.5, 0.5))] * 6,
        "worse": [rows((0.9, 0.9))] * 6,
    }
    comparison, curves = compare("s", runs, YARDSTICK, seeds=range(6), budget=BudgetSpec(trials=1))
    first, bad, worse = comparison.standings

    assert first.against_first == {}
    assert (bad.against_first[1].better, bad.against_first[1].p_holm) == (6, pytest.approx(2 * 2 / 64))
    assert worse.hypervolume[1].mean < bad.hypervolume[1].mean < first.hypervolume[1].mean
    assert list(curves) == ["good", "bad", "worse"]


def test_the_tables_front_is_the_best_known():
    """A run that has seen every network of the table scores one."""
    yardstick = table_yardstick(SPEC, table())

    assert yardstick.source == "the table's true front"
    assert 0 < yardstick.best <= 1


def test_a_bound_that_nothing_keeps_is_the_users_mistake():
    with pytest.raises(UserError, match=r"val_error = 0\.001"):
        table_yardstick(SPEC, table(), useful={"val_error": 0.001})


def test_the_union_is_scored_in_its_own_box():
    found = union_yardstick(SPEC_AB, [rows((0.2, 0.8)), rows((0.6, 0.4), (0.9, 0.9))])

    assert found.box.best == (0.2, 0.4)
    assert found.box.worst == (0.9, 0.9)
    assert curve_of(rows((0.2, 0.8), (0.6, 0.4)), found).share[-1] == pytest.approx(1.0)


def test_nothing_completed_is_said():
    with pytest.raises(UserError, match="nothing to compare"):
        union_yardstick(SPEC_AB, [rows((0.2, 0.8), states=[State.FAILED])])


def test_the_attainment_surface_is_what_so_many_runs_dominate():
    """Two runs: the half of them attain the union of both fronts, all of them only what both attain."""
    surfaces = attainment([np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])], percentiles=(50, 100))

    assert surfaces[50].tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert surfaces[100].tolist() == [[1.0, 1.0]]


def test_a_run_without_a_front_attains_nothing():
    """It counts among the runs: what the other one attains is attained by half."""
    surfaces = attainment([np.array([[0.0, 1.0]]), np.empty((0, 2))], percentiles=(50, 75))

    assert surfaces[50].tolist() == [[0.0, 1.0]]
    assert len(surfaces[75]) == 0
