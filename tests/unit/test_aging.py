"""What makes this aging evolution: the oldest leaves, however good, and what failed never enters."""

from __future__ import annotations

import numpy as np
import pytest
from toy_search import ToySearch

from nasd.domain.history import Fact
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective, Source
from nasd.domain.study import StrategySpec
from nasd.strategies.aging import AgingPopulation

PLAIN = tuple(Objective(name=name, unit="", source=Source.TRAINED) for name in "ab")


def fact(number: int, *values: float, state=State.COMPLETED, violation=0.0, kind="result") -> Fact:
    named = {each.name: value for each, value in zip(PLAIN, values, strict=False)}
    return Fact(LearnedSeq(number + 1), kind, TrialNumber(number), state, named, violation)


def population(*facts: Fact, capacity: int = 4) -> AgingPopulation:
    people = AgingPopulation(PLAIN, capacity=capacity)
    for each in facts:
        people.learn(each)
    return people


def best(people: AgingPopulation, n: int = 99) -> set[int]:
    return {people.best_of(n, np.random.default_rng(seed)) for seed in range(30)}


def test_the_oldest_leaves_however_good():
    """A lucky value must not be a parent for ever."""
    assert population(fact(0, 0, 0), *(fact(n, n, n) for n in (3, 1, 2, 4))).numbers == (3, 1, 2, 4)


def test_age_is_the_order_in_which_results_were_learned():
    """A straggler is young when it arrives, not when it was proposed."""
    people = population(*(fact(n, n, n) for n in (5, 6, 7, 8)), fact(0, 1, 1))

    assert people.numbers == (6, 7, 8, 0)


def test_what_failed_never_enters_and_ages_nobody():
    """It can't be better than anything; a night of failures would leave a population of them."""
    failed = [
        fact(9, state=State.FAILED),
        fact(10, state=State.INFEASIBLE),
        fact(11, 1.0),
        fact(12, state=State.CANCELLED),
    ]
    people = population(*(fact(n, n, n) for n in range(4)), *failed)

    assert people.numbers == (0, 1, 2, 3)
    assert (people.n_results, people.n_lost) == (5, 3)


def test_best_is_by_violation_then_rank_then_crowding():
    """A feasible one before any other, then what fewer beat, then the ends of the front."""
    line = [fact(n, n, 10 - n) for n in (0, 4, 5, 10)]

    assert best(population(*line)) == {0, 10}
    assert best(population(*line[:2], fact(6, 6, 7), fact(7, -1, -1, violation=0.5))) <= {0, 4}
    assert best(population(fact(1, 0, 0, violation=0.5), fact(2, 9, 9, violation=0.1))) == {2}


def test_rank_is_taken_in_the_whole_population():
    """Of two that nobody in the sample beats, the one that somebody else beats is the worse."""
    people = population(fact(0, 0, 5), fact(1, 1, 6), fact(2, 5, 0), fact(3, 6, 1))
    pairs = {frozenset(people.numbers[at] for at in (0, 3)), frozenset({1, 2})}

    assert pairs == {frozenset({0, 3}), frozenset({1, 2})}
    assert people.winner(TrialNumber(0), TrialNumber(3)) == 0
    assert people.winner(TrialNumber(1), TrialNumber(2)) == 2


def test_a_revision_changes_a_member_where_it_stands_and_brings_none_back():
    """Later measuring rounds correct values, not ages."""
    people = population(*(fact(n, n, n) for n in range(5)))
    people.learn(fact(1, 7, 7, kind="revision"))
    people.learn(fact(0, -1, -1, kind="revision"))
    assert people.numbers == (1, 2, 3, 4)
    people.learn(fact(2, state=State.FAILED, kind="revision"))

    assert people.numbers == (1, 3, 4)


def test_children_are_mutations_of_one_parent():
    """There is no crossover in it."""
    search = ToySearch("aging-evolution", population=8).run(40)

    assert set(search.history.operators[16:]) == {"mutation"}
    assert {len(parents) for parents in search.history.parents[16:]} == {1}


def test_population_and_sample_have_defaults_of_their_own_and_are_checked():
    """What forgets its best needs more members than what keeps them."""
    assert StrategySpec(use="aging-evolution").n_members == 30
    assert StrategySpec(use="nsga2").n_members == 12
    assert ToySearch("aging-evolution", population=6).strategy._sample == 2
    for sample in (1, 13):
        with pytest.raises(ValueError, match=rf"strategy\.sample = {sample}: must lie between 2 and .*population = 12"):
            StrategySpec(use="aging-evolution", population=12, sample=sample)
