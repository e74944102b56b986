"""Every strategy copes with trials that are known in part: a board's latency is missing, and comes later or never."""

from __future__ import annotations

import numpy as np
import pytest
from strategy_cases import RecordedSearch, every, replayed, restored_from
from toy_search import ToySearch
from toy_space import evaluate

from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import trial_rng


@pytest.fixture(params=every())
def use(request) -> str:
    return request.param


def without_latency(search: ToySearch, number: TrialNumber) -> dict[str, float]:
    values = evaluate(search.space, search.history.architectures[number])
    return {name: value for name, value in values.items() if name != "latency_ms"}


def is_late(search: ToySearch, number: int) -> bool:
    """A third of the trials, spread over the study."""
    return np.random.default_rng([search.seed, 5, number]).random() < 1 / 3


def some_late(search: ToySearch, number: TrialNumber) -> None:
    """A third arrive without their latency; each time one of those that are out may be told, in any order."""
    search.learn(number, values=without_latency(search, number) if is_late(search, number) else None)
    lacking = [
        TrialNumber(each)
        for each in range(len(search.history))
        if search.history.state(TrialNumber(each)) is State.COMPLETED and np.isnan(search.history.losses[each]).any()
    ]
    order = np.random.default_rng([search.seed, 6, number])
    if lacking and order.random() < 0.6:
        search.learn(TrialNumber(int(order.choice(lacking))), kind="revision")


def never(search: ToySearch, number: TrialNumber) -> None:
    """The board is away for good."""
    search.learn(number, values=without_latency(search, number))


@pytest.mark.parametrize("finish", [some_late, never])
def test_a_search_goes_on_and_is_made_again_from_its_rows(use, finish):
    """A board that is late or gone must neither stop a strategy nor make its proposals depend on a crash."""
    search = RecordedSearch(use, seed=12, population=8).run(60, finish=finish)

    assert len(set(search.keys)) == len(search.keys) == search.case.n(60)
    assert search.keys == replayed(search)
    assert search.proposal() == search.proposal(search.fresh_strategy())


def test_a_cache_taken_while_values_are_missing_says_what_the_rows_say(use):
    """Resuming in the middle of an outage of the board."""
    search = RecordedSearch(use, seed=13, population=8)
    restored = restored_from(search, 25, finish=some_late)

    assert search.proposal() == search.proposal(restored) == search.proposal(search.fresh_strategy())


def test_the_order_in_which_missing_values_arrive_stays_legal(use):
    """Whatever the order, each value is used and nothing is proposed twice."""
    for seed in range(2):
        search = RecordedSearch(use, seed=seed, population=8)
        n = search.case.n(24) - 4
        search.run(n, finish=never)
        for number in np.random.default_rng(seed).permutation(n):
            search.learn(TrialNumber(int(number)), kind="revision")
        assert not np.isnan(search.history.losses).any()
        search.run(search.case.n(24))
        assert len(set(search.keys)) == len(search.keys)
        assert search.keys == replayed(search)


def test_when_all_is_known_at_last_the_search_is_as_good_as_told_at_once(use):
    """What was missing leaves no trace that keeps a good trial from breeding: parents are found among late ones too."""
    search = RecordedSearch(use, seed=14, population=8).run(30, finish=never)
    for number in range(len(search.history)):
        search.learn(TrialNumber(number), kind="revision")
    number = len(search.history)
    proposals = [search.strategy.propose(search.history, number, trial_rng(seed, number)) for seed in range(4)]

    assert all(each.architecture.key not in search.keys for each in proposals)
    bred = [each for each in proposals if each.parents]
    if bred:
        assert all(search.history.state(parent) is State.COMPLETED for each in bred for parent in each.parents)
