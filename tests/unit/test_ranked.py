"""Which trials of a study another one begins with."""

from __future__ import annotations

import pytest
from toy_space import OBJECTIVES, ToySpace

from nasd.controller.ranked import ranked, spread
from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import trial_rng


def history_of(*rows: tuple[State, float, dict[str, float]]) -> History:
    history = History(OBJECTIVES[:2])
    for number, (state, violation, values) in enumerate(rows):
        history.add(Proposal(ToySpace().sample(trial_rng(0, number)), "sample"))
        fact = Fact(LearnedSeq(number + 1), "result", TrialNumber(number), state, values, violation)
        history.learn(fact)
    return history


def done(error: float, params: float, *, violation: float = 0.0) -> tuple[State, float, dict[str, float]]:
    return State.COMPLETED, violation, {"val_error": error, "params": params}


def test_the_front_comes_first_then_rank_by_rank_along_the_first_objective():
    """What nothing beats is what is worth trying again."""
    history = history_of(done(0.3, 1), done(0.1, 9), done(0.2, 5), done(0.3, 5), done(0.4, 6), done(0.2, 5))

    assert ranked(history) == [[1, 2, 5, 0], [3], [4]]


def test_only_feasible_completed_trials_with_all_values_are_ranked():
    """The rest would be a bad beginning."""
    history = history_of(
        done(0.1, 1, violation=0.5),
        (State.INFEASIBLE, 0.0, {"val_error": 0.1, "params": 1}),
        (State.PRUNED, 0.0, {"val_error": 0.1, "params": 1}),
        (State.FAILED, 0.0, {"val_error": 0.1, "params": 1}),
        (State.COMPLETED, 0.0, {"val_error": 0.1}),
        done(0.9, 9),
    )

    assert ranked(history) == [[5]]
    assert ranked(History(OBJECTIVES)) == []


@pytest.mark.parametrize(
    ("most", "taken"),
    [(0, ""), (-1, ""), (1, "a"), (2, "ag"), (3, "adg"), (4, "aceg"), (7, "abcdefg"), (9, "abcdefg")],
)
def test_what_is_taken_of_a_rank_spans_it(most, taken):
    """The first few along one objective would all be alike."""
    assert "".join(spread("abcdefg", most)) == taken
