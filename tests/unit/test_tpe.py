"""Optuna's TPE as a pure strategy: every space, constraints, duplicates, and what is not imported for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from space_cases import SPACES
from toy_search import ToySearch
from toy_space import OBJECTIVES, ToySpace

from nasd import spaces
from nasd.domain.data import Problem
from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import trial_rng
from nasd.domain.study import ParameterSpec, SpaceSpec, StrategySpec
from nasd.errors import UserError
from nasd.strategies import build
from nasd.strategies.base import Setting
from nasd.strategies.fresh import unproposed
from nasd.strategies.optuna_view import Seen
from nasd.strategies.optuna_window import best_and_latest
from nasd.strategies.tpe import STARTUP, Tpe

PROBLEM = Problem(input_shape=(4,), n_outputs=2)
FLAT = spaces.build(
    SpaceSpec(
        kind="custom",
        params={
            "op": ParameterSpec(choice=("a", "b", "c", "d")),
            "x": ParameterSpec(float_range=(0.0, 1.0)),
            "y": ParameterSpec(float_range=(0.0, 1.0)),
        },
    ),
    PROBLEM,
)


def searched(space, evaluate, *, n: int = 30, objectives=OBJECTIVES[:2], strategy=None) -> History:
    """One trial at a time; `evaluate(genes)` gives (values, violation), None as values where there are none."""
    history, strategy = History(objectives), strategy or Tpe(space, objectives)
    for number in range(n):
        proposal = strategy.propose(history, number, trial_rng(1, number))
        history.add(proposal)
        values, violation = evaluate(proposal.architecture.as_dict())
        state = State.COMPLETED if values is not None else State.INFEASIBLE
        history.learn(Fact(LearnedSeq(number + 1), "result", TrialNumber(number), state, values or {}, violation))
    return history


def sphere(genes) -> tuple[dict, float]:
    return {"val_error": (genes["x"] - 0.3) ** 2 + 0.01, "params": 1 + (genes["y"] - 0.6) ** 2}, 0.0


@pytest.mark.parametrize("name", [name for name, case in SPACES.items() if case.space().size > 2 * STARTUP])
def test_every_space_is_searched(name):
    """Conditions, lists, constraints and recipe parameters: what is suggested becomes a member of the space."""
    space, history = SPACES[name].space(), History(OBJECTIVES[:2])
    strategy = Tpe(space, OBJECTIVES[:2])
    for number in range(STARTUP + 3):
        history.add(Proposal(unproposed(space, history, trial_rng(0, number)), "sample"))
        cost = float(space.encode(history.architectures[number]).sum())
        values = {"val_error": 1 / (1 + cost), "params": 1 + cost}
        history.learn(Fact(LearnedSeq(number + 1), "result", TrialNumber(number), State.COMPLETED, values))
    for number in range(len(history), len(history) + 3):
        proposal = strategy.propose(history, number, trial_rng(0, number))
        assert proposal.operator.startswith("tpe")
        assert proposal.architecture == space.canonical(proposal.architecture.as_dict())
        history.add(proposal)


def test_first_trials_are_random_and_never_wait():
    """A model of nothing is worth nothing, and forty workers get forty trials."""
    search = ToySearch("tpe", seed=2)
    for _ in range(40):
        search.propose()
    assert set(search.history.operators) == {"sample"}
    for number in range(STARTUP):
        search.learn(TrialNumber(number))
    assert search.proposal().operator.startswith("tpe")


def test_lost_results_are_no_start():
    """What a lost trial took with it taught nothing."""
    search = ToySearch("tpe", seed=3)
    search.run(STARTUP + 5, finish=lambda toy, number: toy.learn(number, values={}, state=State.FAILED))
    assert search.proposal().operator == "sample"


def test_suggestions_gather_where_results_are_good():
    """Else it would be random search with more effort."""
    history = searched(FLAT, sphere, n=60)
    off = [abs(each["x"] - 0.3) + abs(each["y"] - 0.6) for each in history.architectures]

    assert np.median(off[30:]) < 0.6 * np.median(off[:STARTUP])


def test_maximised_objective_is_maximised():
    """Losses are what a sampler is told, never values."""
    score = OBJECTIVES[3:]
    history = searched(FLAT, lambda genes: ({"score": genes["x"]}, 0.0), n=40, objectives=score)

    assert np.mean([each["x"] for each in history.architectures[20:]]) > 0.75


@pytest.mark.parametrize("has_values", [True, False])
def test_violations_turn_the_search_away(has_values):
    """The best errors lie where a limit is broken; with or without values, what breaks it must count as bad."""

    def limited(genes):
        values, _ = sphere(genes)
        bad = 1.0 if genes["op"] in {"a", "b"} else 0.0
        values["val_error"] *= 0.1 if bad else 1.0
        return (None if bad and not has_values else values), bad

    history = searched(FLAT, limited, n=50)
    free = searched(FLAT, lambda genes: (limited(genes)[0] or sphere(genes)[0], 0.0), n=50)
    share, share_free = (
        np.mean([each["op"] in {"a", "b"} for each in which.architectures[20:]]) for which in (history, free)
    )

    assert share < 0.3
    assert share < share_free


def test_infeasible_of_unknown_size_and_all_infeasible_are_learned_from():
    """A candidate that does not fit says no number; a limit may be broken by everything at first."""
    search = ToySearch("tpe", seed=4)
    search.run(30, finish=lambda toy, number: toy.learn(number, values={}, state=State.INFEASIBLE))

    assert search.proposal().operator.startswith("tpe")


def test_duplicates_asked_in_between_leave_no_trace():
    """Each ask meets duplicates in a space this small; a strategy that never asked must propose the same."""
    search = ToySearch("tpe", seed=5, space=ToySpace(max_depth=2, widths=(8, 16), kernels=(1, 3), groups=(1, 2)))
    search.run(36, in_flight=3)
    proposals = [search.proposal() for _ in range(4)]

    assert proposals == [search.proposal(search.fresh_strategy())] * 4
    assert "tpe+mutation" in search.history.operators
    assert len({each.key for each in search.history.architectures}) == 36


def test_trials_in_flight_are_kept_away_from():
    """Eight workers must not be sent to one place."""
    finished = searched(FLAT, sphere, n=40)
    strategy, rng = Tpe(FLAT, OBJECTIVES[:2]), trial_rng(1, 40)
    first = strategy.propose(finished, 40, rng)
    finished.add(first)

    assert first != strategy.propose(finished, 41, trial_rng(1, 40))


def test_best_and_latest_are_shown_of_many():
    """With a thousand trials an ask would take over a second; the front must never be among what is left out."""
    seen = [Seen(TrialNumber(n), (float(abs(n - 50)), float(n % 7)), float(n % 5 == 4)) for n in range(900)]
    shown = best_and_latest(seen, n_best=20, n_latest=100)
    numbers = [each.number for each in shown]

    assert numbers == sorted(numbers)
    assert len(numbers) == 120
    assert set(range(800, 900)) <= set(numbers)
    assert 50 in numbers  # the best of the first column
    assert best_and_latest(seen[:120], n_best=20, n_latest=100) == seen[:120]


def test_missing_optuna_is_one_sentence(monkeypatch):
    """It is an extra: most users never need it."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r'^strategy.use = "tpe": needs Optuna: install nasd\[optuna\]$'):
        build(StrategySpec(use="tpe"), Setting(space=ToySpace(), objectives=OBJECTIVES))


_ELSEWHERE = """
import json, sys
from toy_search import ToySearch
search = ToySearch("tpe", seed=6)
before = "optuna" in sys.modules
search.run(24)
print(json.dumps([before, "torch" in sys.modules, [each.key for each in search.history.architectures]]))
"""


def test_other_processes_propose_the_same_and_never_import_torch():
    """Sets are ordered by a process's hash seed; the controller has no torch, and Optuna only once it asks."""
    told = []
    for seed in ("1", "2"):
        path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", _ELSEWHERE], env=environment, capture_output=True, text=True, check=True
        )
        told.append(json.loads(done.stdout))

    assert told[0] == told[1]
    assert told[0][:2] == [False, False]
