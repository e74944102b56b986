"""What makes this SMS-EMOA: of the last rank the least hypervolume contribution leaves, never an end of the front."""

from __future__ import annotations

import moocore
import numpy as np
import pytest
from toy_search import ToySearch
from toy_space import OBJECTIVES

from nasd.domain.history import Fact
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective, Source
from nasd.strategies.population import Population
from nasd.strategies.worth import contributions

PLAIN = tuple(Objective(name=name, unit="", source=Source.TRAINED) for name in "abcd")


def simplex(n: int, m: int, seed: int) -> list[tuple[float, ...]]:
    """Points none of which beats another."""
    return [tuple(row) for row in np.random.default_rng(seed).dirichlet(np.ones(m), size=n).tolist()]


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_worth_is_the_hypervolume_that_is_lost_without_the_row(m, seed):
    """By the definition: the volume of all less the volume of the others, in the rank's own box."""
    rows = simplex(9, m, seed)
    worths = contributions(rows, PLAIN[:m])
    points = np.array(rows)
    unit = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    reference = np.full(m, 1.1)
    whole = moocore.hypervolume(unit, ref=reference)
    lost = [whole - moocore.hypervolume(np.delete(unit, at, axis=0), ref=reference) for at in range(9)]
    inner = sorted(set(range(9)) - set(points.argmin(axis=0).tolist()))

    assert [worths[at] for at in inner] == pytest.approx([lost[at] for at in inner])


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_ends_of_the_front_are_never_dropped(m, seed):
    """The best network of each objective is what a user looks for first, however near its neighbour is."""
    people = Population(PLAIN[:m], capacity=6, worth=contributions)
    rows = simplex(30, m, seed)
    for number, row in enumerate(rows):
        values = dict(zip("abcd", row, strict=False))
        people.learn(Fact(LearnedSeq(number + 1), "result", TrialNumber(number), State.COMPLETED, values))

    assert {int(at) for at in np.array(rows).argmin(axis=0)} <= set(people.numbers)


def test_copies_are_worth_nothing():
    """They go before any row of which there is one."""
    rows = [(0.0, 4.0), (1.0, 2.0), (1.0, 2.0), (2.0, 1.0), (4.0, 0.0)]

    assert [worth > 0 for worth in contributions(rows, PLAIN[:2])] == [True, True, False, True, True]


def test_an_objective_in_which_all_are_equal_divides_by_nothing():
    """Three objectives of which one does not tell the members apart."""
    rows = [(0.0, 3.0, 1.0), (1.0, 2.0, 1.0), (2.0, 0.5, 1.0), (3.0, 0.0, 1.0)]

    assert np.isfinite(contributions(rows, PLAIN[:3])[2])


def test_contributions_are_taken_on_the_logarithm_of_counts():
    """On a linear scale all small networks are one point beside the largest."""
    rows = [(0.9, 1e3), (0.5, 1e4), (0.3, 1e6), (0.1, 1e9)]
    worths = contributions(rows, OBJECTIVES[:2])

    assert worths[1] > worths[2] > 0.01


def test_the_first_trials_are_random_and_the_others_are_bred():
    """As with NSGA-II: children of the first two results would be children of the two fastest networks."""
    search = ToySearch("sms-emoa", population=8).run(30)

    assert set(search.history.operators[:8]) == {"sample"}
    assert set(search.history.operators[16:]) <= {"mutation", "crossover+mutation"}
