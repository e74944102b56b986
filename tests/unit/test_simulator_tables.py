"""Benchmark tables: a small one of our own as a search space, told in one run and scored with the others."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nasd.domain.lifecycle import State
from nasd.domain.study import (
    BudgetSpec,
    EvaluationSpec,
    LimitSpec,
    ObjectiveSpec,
    StrategySpec,
    StudySpec,
)
from nasd.errors import UserError
from nasd.simulator import Fleet, simulate
from nasd.simulator.scores import curve_of, table_yardstick
from nasd.simulator.studies import table_parts, table_spec
from nasd.simulator.table_files import Recorded
from nasd.simulator.tables import Table

KINDS = ("conv", "none")
ROWS = tuple(product(KINDS, KINDS, (16, 32, 64)))
SPEC = StudySpec(
    name="small",
    objectives={"val_error": ObjectiveSpec(), "params": ObjectiveSpec()},
    strategy=StrategySpec(use="nsga2", population=4),
    budget=BudgetSpec(trials=50),
)
SPEC_AB = StudySpec(
    name="ab",
    evaluation=EvaluationSpec(run="nobody:calls"),
    objectives={"a": ObjectiveSpec(), "b": ObjectiveSpec()},
    budget=BudgetSpec(trials=5),
)


def recorded(**changes):
    """Twelve rows; `none` in either place gives the same network, so that nine are distinct."""
    params = np.array([float(width * (1 + row.count("conv")) + row.count("conv")) for *row, width in ROWS])
    error = 1 / (1 + np.log(params))
    fields = {
        "name": "small",
        "columns": {
            "first": [row[0] for row in ROWS],
            "second": [row[1] for row in ROWS],
            "width": [row[2] for row in ROWS],
        },
        "values": {"val_error": np.column_stack([error, error + 0.01, error + 0.03]), "params": params[:, None]},
        "duration_s": params / 10,
        "ordered": frozenset({"width"}),
        "same": True,
    }
    return Recorded(**{**fields, **changes})


def table(**changes):
    return Table(recorded(**changes))


def test_rows_of_one_network_share_a_key():
    space = table().space
    one = space.canonical({"first": "conv", "second": "none", "width": 16})
    other = space.canonical({"first": "none", "second": "conv", "width": 16})

    assert one.key == other.key
    assert space.size == 9


def test_rows_stay_apart_where_the_table_does_not_say_otherwise():
    assert table(same=False).space.size == 12


def test_one_run_is_told_and_the_mean_of_the_others_scored():
    small = table()
    architecture = small.space.canonical({"first": "conv", "second": "conv", "width": 16})
    told, scored = small.evaluate(architecture, np.random.default_rng(0)), small.scores(architecture)

    assert scored["val_error"] == pytest.approx(told.values["val_error"] + 0.02)
    assert (scored["params"], told.values["params"]) == (50.0, 50.0)
    assert told.duration_s == pytest.approx(5.0)


def test_another_run_can_be_told():
    """Then the first is among those scored."""
    first, second = Table(recorded(), told=0), Table(recorded(), told=1)

    assert np.allclose(second.told[:, 0], first.told[:, 0] + 0.01)
    assert np.allclose(second.scored[:, 0], first.told[:, 0] + 0.015)


def test_a_run_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="no run 3"):
        Table(recorded(), told=3)


def test_counts_are_known_ahead_and_nothing_else():
    small = table()
    architecture = small.space.canonical({"first": "none", "second": "none", "width": 64})

    assert small.space.counts(architecture) == {"params": 64}


def test_a_row_without_numbers_is_infeasible():
    error = recorded().values["val_error"].copy()
    error[0] = np.nan
    small = table(values={"val_error": error, "params": recorded().values["params"]})
    architecture = small.space.canonical({"first": "conv", "second": "conv", "width": 16})

    assert small.evaluate(architecture, np.random.default_rng(0)).state is State.INFEASIBLE


def test_networks_that_were_not_recorded_are_never_proposed():
    """A table with a hole: what isn't there is no member of the space."""
    kept = [at for at in range(len(ROWS)) if at != 5]
    full = recorded(same=False)
    holed = Table(
        recorded(
            same=False,
            columns={name: [options[at] for at in kept] for name, options in full.columns.items()},
            values={name: runs[kept] for name, runs in full.values.items()},
            duration_s=full.duration_s[kept],
        )
    )
    rng = np.random.default_rng(0)
    seen = {holed.space.sample(rng).key for _ in range(300)}

    assert len(seen) == holed.space.size == 11


def test_a_row_given_twice_is_refused():
    columns = {name: [*options, options[0]] for name, options in recorded().columns.items()}
    values = {name: np.vstack([runs, runs[:1]]) for name, runs in recorded().values.items()}

    with pytest.raises(UserError, match="is in it twice"):
        table(columns=columns, values=values, duration_s=None)


def test_a_table_of_a_few_combinations_is_refused():
    """Nearly every draw would be missing."""
    columns = {f"p{at}": [0, 1, 2, 3] for at in range(6)}

    with pytest.raises(UserError, match="4 of 4,096 combinations"):
        table(columns=columns, values={"val_error": np.ones((4, 1))}, duration_s=None)


def test_an_objective_that_the_table_lacks_is_named():
    spec = StudySpec(name="s", objectives={"latency_ms": ObjectiveSpec()}, budget=BudgetSpec(trials=5))

    with pytest.raises(UserError, match=r"objectives\.latency_ms: the table small does not have it; it has val_error"):
        table_spec(spec, table())


def test_a_study_over_a_table_tries_each_network_once_and_finds_the_whole_front():
    """Nine networks and a budget of fifty: the space is exhausted, and the best known is reached."""
    small = table()
    spec = table_spec(SPEC, small)
    run = simulate(table_parts(spec, small), small, Fleet((1.0, 2.0)), ask_s=0.001)

    assert len({row.architecture.key for row in run.trials}) == len(run.trials) == 9
    assert curve_of(run, table_yardstick(spec, small)).share[-1] == pytest.approx(1.0)
    assert run.ended == "the space has no further architecture"


def test_a_limit_on_counts_keeps_large_networks_from_workers():
    small = table()
    spec = table_spec(
        StudySpec(
            name="limited",
            objectives={"val_error": ObjectiveSpec()},
            limits=(LimitSpec(of="params", max=64),),
            strategy=StrategySpec(use="random"),
            budget=BudgetSpec(trials=50),
        ),
        small,
    )
    run = simulate(table_parts(spec, small), small, Fleet((1.0,)), ask_s=0.001)

    assert all((row.worker is None) == (row.values["params"] > 64) for row in run.trials)
