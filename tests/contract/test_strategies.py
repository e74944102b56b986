"""What every search strategy keeps, whatever it thinks of architectures: proposals are a function of rows.

Whole studies are in test_strategies_studies.py, real spaces in test_strategies_spaces.py. A new strategy is held to all
of it by its name in `nasd.strategies.KNOWN`; what it declares of itself is in `strategy_cases.CASES`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from strategy_cases import TINY, RecordedSearch, case_of, copied, every, replayed, restored_from, rough_weather
from strategy_checks import order_matters
from toy_search import ToySearch
from toy_space import OBJECTIVES

from nasd.domain.history import Fact, Wait
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import trial_rng
from nasd.errors import SpaceExhausted


@pytest.fixture(params=every())
def use(request) -> str:
    return request.param


def test_same_rows_give_the_same_proposals(use):
    """A killed controller goes on as if nothing had happened, and `nasd replay` can check every trial."""
    search = RecordedSearch(use, seed=3, population=8).run(60, finish=rough_weather)
    here, elsewhere = search.proposal(search.fresh_strategy()), search.proposal(history=copied(search.history))

    assert search.keys == replayed(search)
    assert search.proposal() == here == elsewhere


@pytest.mark.parametrize("when", [1, 9, 30, 59])
def test_dropping_or_restoring_the_cache_changes_no_proposal(use, when):
    """The cache saves time at a resume; wherever it was taken, it must say what the rows say."""
    search = RecordedSearch(use, seed=4, population=8)
    restored = restored_from(search, when)

    assert search.proposal() == search.proposal(restored) == search.proposal(search.fresh_strategy())
    assert search.strategy.cache() == restored.cache()


def test_useless_cache_is_left_aside(use):
    """A damaged or foreign cache costs the time of a rebuild, never a study."""
    search = RecordedSearch(use, seed=5, population=8).run(40)
    kept = search.strategy.cache()
    if kept is None:
        pytest.skip("it keeps none")
    (seq, state), expected = kept, search.proposal()
    for bad in ({}, {**state, "version": "other"}, {**state, "losses": [[1.0]]}, {**state, "numbers": "x"}):
        damaged = search.fresh_strategy()
        damaged.restore(seq, bad)
        assert search.proposal(damaged) == expected
    for wrong_seq in (seq + 1, seq + 1000):  # a label that the rows contradict, and one beyond the rows
        mislabelled = search.fresh_strategy()
        mislabelled.restore(wrong_seq, state)
        assert search.proposal(mislabelled) == expected
    shorter = RecordedSearch(use, seed=5, population=8).run(10)
    shorter.strategy.restore(seq, state)  # taken later than the rows that are left
    assert shorter.proposal() == shorter.proposal(shorter.fresh_strategy())


def test_a_cache_of_a_strategy_that_keeps_none_is_ignored(use):
    """A later version may stop keeping one."""
    search = RecordedSearch(use, seed=5, population=8).run(12)
    other = search.fresh_strategy()
    other.restore(search.history.learned_seq, {"version": "other"})

    assert search.proposal() == search.proposal(other)


def test_another_history_is_not_taken_for_the_one_consumed(use):
    """A mind that is thrown away and rebuilt hands over a new object with fewer rows."""
    long, short = (RecordedSearch(use, seed=seed, population=8).run(n) for seed, n in ((6, 40), (7, 20)))
    expected, number = short.proposal(), len(short.history)
    long.proposal()

    assert expected == long.strategy.propose(short.history, number, trial_rng(7, number))
    assert long.proposal() == long.proposal(long.fresh_strategy())


@pytest.mark.parametrize("seed", range(3))
def test_no_architecture_is_proposed_twice_with_eight_in_flight(use, seed):
    """Not even while its twin is in flight: the result is already paid for."""
    search = RecordedSearch(use, seed=seed, population=8)
    search.run(120, in_flight=8, finish=rough_weather)

    assert len(set(search.keys)) == len(search.keys) == search.case.n(120)


def test_order_of_arrival_is_taken_as_learned(use):
    """Any order is a good order: proposals stay legal, fresh and repeatable."""
    for seed in range(2):
        search = RecordedSearch(use, seed=seed, population=8)
        n = search.case.n(24) - 2
        for _ in range(n):
            search.propose()
        for number in np.random.default_rng(seed).permutation(n):
            search.learn(TrialNumber(int(number)))
        search.run(10)
        assert replayed(search) == search.keys
        assert len(set(search.keys)) == len(search.keys)


def test_results_learned_twice_change_nothing_but_their_number(use):
    """A result that is told again is a fact more, and no other: legal, fresh and repeatable proposals all the same."""

    def twice(search: ToySearch, number: TrialNumber) -> None:
        search.learn(number)
        search.learn(number, kind="revision")

    search = RecordedSearch(use, seed=10, population=8).run(40, finish=twice)

    assert replayed(search) == search.keys
    assert len(set(search.keys)) == len(search.keys)


def test_the_learned_order_matters_only_where_it_is_declared_to(use):
    """What is irrelevant may be told in any order; what is not must be said to users of `nasd simulate`."""
    assert order_matters(use) == case_of(use).order_matters


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
def test_one_to_four_objectives(use, n_objectives):
    """One objective is a search for one best network, four include a maximised one."""
    search = RecordedSearch(use, objectives=OBJECTIVES[:n_objectives], population=8).run(40)

    assert len(search.history) == search.case.n(40)
    assert not np.isnan(search.history.losses).any()
    assert search.proposal() == search.proposal(search.fresh_strategy())


def test_never_waits_for_results(use):
    """Forty workers and a population of eight: all of them get work before the first result, or are told to wait."""
    search = RecordedSearch(use, population=8)
    proposals = []
    for _ in range(40):
        proposals.append(search.proposal())
        if isinstance(proposals[-1], Wait):
            break
        search.history.add(proposals[-1])

    assert isinstance(proposals[-1], Wait) == search.case.waits


def test_lost_results_never_stop_a_search(use):
    """A night without a working device teaches nothing, and the morning goes on."""
    search = RecordedSearch(use, population=8)
    search.run(search.case.n(40) - 4, finish=lambda toy, number: toy.learn(number, values={}, state=State.FAILED))

    assert search.proposal().parents == ()
    search.run(40)


def test_everything_infeasible_is_still_a_search(use):
    """A limit that nothing satisfies yet, by a known amount or not."""
    for beyond in (1.0, 0.0):
        search = RecordedSearch(use, population=8)
        search.run(
            60, finish=lambda toy, number, x=beyond: toy.learn(number, values={}, state=State.INFEASIBLE, violation=x)
        )
        assert len(set(search.keys)) == search.case.n(60)


@pytest.mark.parametrize("space", TINY, ids=lambda space: f"{space.size} members")
@pytest.mark.parametrize("in_flight", [1, 8])
def test_space_is_exhausted_exactly_when_all_was_proposed(use, space, in_flight):
    """Ending early wastes the last members, ending late hangs the study."""
    if space.size > case_of(use).most_members:
        pytest.skip("its asks are too dear")
    search = ToySearch(use, space=space, population=4)
    with pytest.raises(SpaceExhausted, match=str(space.size)):
        search.run(10_000, in_flight=in_flight)

    assert len({each.key for each in search.history.architectures}) == len(search.history) == space.size
    with pytest.raises(SpaceExhausted):
        search.proposal()


def test_generator_passed_is_the_only_randomness(use):
    """The global state of numpy and the process's hash seed must not matter."""
    search = RecordedSearch(use, seed=8, population=8).run(40)
    number = len(search.history)
    np.random.seed(1)
    first = search.proposal()
    np.random.seed(2)

    assert first == search.proposal()
    other = (search.strategy.propose(search.history, number, np.random.default_rng(seed)) for seed in range(20))
    assert any(proposal.architecture.key != first.architecture.key for proposal in other)


def test_parents_are_trials_that_were_learned(use):
    """The family tree is public (the parents column); a parent in flight would be a lie."""
    search = RecordedSearch(use, seed=9, population=8).run(60, finish=rough_weather)
    for number, parents in enumerate(search.history.parents):
        learned = {fact.trial for fact in search.history.facts[: search.proposed_from[number]]}
        assert set(parents) <= learned


def test_a_trial_beyond_a_limit_is_no_parent_before_a_feasible_one(use):
    """Constrained domination: however good its values, whoever keeps the limits is ahead of it."""
    search = RecordedSearch(use, seed=11, population=8).run(30)
    best = {each.name: 1e9 if each.sign < 0 else 1e-9 for each in search.objectives}
    outlaw = search.propose()
    search.learn(outlaw, values=best, violation=0.5)
    number = len(search.history)
    proposals = [
        search.strategy.propose(search.history, number, np.random.default_rng(seed))
        for seed in range(60 if search.case.most > 60 else 5)
    ]

    assert all(outlaw not in proposal.parents for proposal in proposals)


def test_facts_are_gap_free_in_the_toy_itself():
    """The suite's own driver keeps the learned order that the controller promises."""
    facts = ToySearch("random").run(20).history.facts

    assert all(isinstance(fact, Fact) and after.seq == fact.seq + 1 for fact, after in pairwise(facts))
