"""Strategies that see a study through a view keep the same laws, and see what the study file says."""

from __future__ import annotations

from itertools import pairwise
from math import isfinite, log

import numpy as np
import pytest
from strategy_cases import TINY, Case, RecordedSearch, copied, replayed, restored_from, rough_weather
from toy_search import ToySearch
from toy_space import OBJECTIVES

from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.scalar import Term, scalar_of
from nasd.domain.study import SCALAR, StrategySpec
from nasd.errors import SpaceExhausted
from nasd.strategies import build
from nasd.strategies.base import SearchStrategy, Setting
from nasd.strategies.view import View, build_view

TERMS = (
    Term("val_error", -1.0, constant=1.0),
    Term("params", -0.05, at=100_000),
    Term("latency_ms", -0.02, at=1.0),
)
PREFERENCE = {"val_error": (None, 0.2), "latency_ms": (1.0, 20.0)}
VIEWS = {
    "nsga2, scalar": ("nsga2", TERMS, {}),
    "random, scalar": ("random", TERMS, {}),
    "nsga2, preference": ("nsga2", (), PREFERENCE),
    "nsga2, both": ("nsga2", TERMS, PREFERENCE),
    "screened, both": ("screened", TERMS, PREFERENCE),
    "nsga2, narrow": ("nsga2", (), {"val_error": (None, 0.15), "latency_ms": (None, 1.0)}),
}


class ViewedSearch(RecordedSearch):
    """The suite's driver, with the strategy behind a view; its rows stay the study's own."""

    def __init__(self, case: str, **options) -> None:
        self.view = VIEWS[case]
        super().__init__(self.view[0], **options)
        self.case = Case()  # spaces are searched to their end

    def fresh_strategy(self) -> SearchStrategy:
        _, terms, preference = self.view
        setting = Setting(space=self.space, objectives=self.objectives, costs=self.space.counts, preference=preference)
        return build_view(self.spec, setting, terms=terms)


@pytest.fixture(params=VIEWS)
def case(request) -> str:
    return request.param


def test_same_rows_give_the_same_proposals(case):
    """`nasd replay` makes every proposal again, the view with it."""
    search = ViewedSearch(case, seed=3, population=8).run(60, finish=rough_weather)

    assert [each.key for each in search.history.architectures] == replayed(search)
    assert (
        search.proposal() == search.proposal(search.fresh_strategy()) == search.proposal(history=copied(search.history))
    )


@pytest.mark.parametrize("when", [1, 30, 59])
def test_dropping_or_restoring_the_cache_changes_no_proposal(case, when):
    """The cache is the strategy's own: the view has nothing that rows don't say."""
    search = ViewedSearch(case, seed=4, population=8)
    restored = restored_from(search, when)

    assert search.proposal() == search.proposal(restored) == search.proposal(search.fresh_strategy())


def test_another_history_is_not_taken_for_the_one_shown_before(case):
    """A mind that is thrown away and rebuilt hands over a new object with fewer rows."""
    long, short = (ViewedSearch(case, seed=seed, population=8).run(n) for seed, n in ((6, 40), (7, 20)))
    expected = short.proposal()
    long.proposal()

    assert expected == short.proposal(long.strategy)
    assert long.proposal() == long.proposal(long.fresh_strategy())


def test_no_architecture_is_proposed_twice_until_the_space_is_exhausted(case):
    """The view must pass on what is in flight too."""
    search = ViewedSearch(case, space=TINY[3], population=4)
    with pytest.raises(SpaceExhausted):
        search.run(10_000)

    assert len({each.key for each in search.history.architectures}) == len(search.history) == search.space.size


def test_parents_are_trials_that_were_learned(case):
    """Numbers mean the same trials on both sides."""
    search = ViewedSearch(case, seed=9, population=8).run(60, finish=rough_weather)
    for number, parents in enumerate(search.history.parents):
        assert set(parents) <= {fact.trial for fact in search.history.facts[: search.proposed_from[number]]}


def shown_facts(search: ViewedSearch) -> list[Fact]:
    assert isinstance(search.strategy, View)
    return search.strategy.shown(search.history).facts


def test_a_scalarised_strategy_sees_one_column_that_is_the_formula():
    """J = accuracy - 0.05 log(params / p0) - 0.02 log(latency / l0), and nothing else is ranked."""
    search = ViewedSearch("nsga2, scalar", population=8).run(40)
    shown = search.strategy.shown(search.history)

    assert [objective.name for objective in shown.objectives] == [SCALAR]
    for number, (error, params, latency_ms) in enumerate(search.history.losses.tolist()):
        expected = (1 - error) - 0.05 * log(params / 100_000) - 0.02 * log(latency_ms)
        assert shown.losses[number, 0] == pytest.approx(-expected, rel=1e-12)
    assert (
        search.strategy.version
        == f"{build(search.spec, Setting(space=search.space, objectives=OBJECTIVES[:1])).version}-scalar-1"
    )


def test_values_that_the_scalar_leaves_out_are_still_there():
    """Limits are on them, and models of limits read them."""
    facts = shown_facts(ViewedSearch("nsga2, scalar", population=8).run(10))

    assert all({"val_error", "params", "latency_ms", SCALAR} == fact.values.keys() for fact in facts)


def test_a_scalar_of_something_unknown_is_unknown():
    """A trial that was only measured must not be ranked by half of the formula."""
    assert scalar_of(TERMS, {"val_error": 0.1, "params": 10.0}) is None
    assert scalar_of(TERMS, {"val_error": float("nan"), "params": 10.0, "latency_ms": 1.0}) is None
    assert isfinite(scalar_of(TERMS, {"val_error": 0.1, "params": 0.0, "latency_ms": 1.0}))


def test_a_scalarised_search_finds_a_better_figure_than_chance():
    """The column is worth following."""
    best = {}
    for case in ("nsga2, scalar", "random, scalar"):
        searches = [ViewedSearch(case, seed=seed, population=12).run(120) for seed in range(8)]
        best[case] = np.mean([max(fact.values[SCALAR] for fact in shown_facts(search)) for search in searches])

    assert best["nsga2, scalar"] > best["random, scalar"]


def preferred(*, violation: float = 0.0, state: State = State.COMPLETED, **values: float) -> float:
    """The violation that a strategy is shown for a trial with these values."""
    strategy = build_view(
        StrategySpec(use="random"),
        Setting(space=TINY[0], objectives=OBJECTIVES, preference={**PREFERENCE, "score": (0.9, 0.5)}),
    )
    assert isinstance(strategy, View)
    history = History(OBJECTIVES)
    history.add(Proposal(TINY[0].sample(np.random.default_rng(0)), "sample"))
    inside = {"val_error": 0.1, "params": 9.0, "latency_ms": 5.0, "score": 0.6}
    history.learn(Fact(LearnedSeq(1), "result", TrialNumber(0), state, inside | values, violation))
    return strategy.shown(history).facts[0].violation


def test_what_is_worse_than_wanted_stands_between_the_wanted_and_the_forbidden():
    """Farther outside is worse; the range's width says what is far, its direction which side is outside."""
    order = [
        preferred(),
        preferred(latency_ms=20.1),
        preferred(latency_ms=25.0),
        preferred(score=0.1),
        preferred(val_error=0.6),
        preferred(val_error=0.6, score=-1e300),
        preferred(violation=1e-9, val_error=0.6),
        preferred(violation=2.0),
    ]

    assert order[0] == preferred(latency_ms=0.5) == preferred(score=2.0) == 0.0
    assert all(before < after for before, after in pairwise(order))
    assert preferred(latency_ms=39.0) == pytest.approx(0.5)  # as far outside as the range is wide


def test_what_was_lost_or_infeasible_by_itself_is_shown_as_it_was():
    """Without all its values a trial can't be said to lie outside; strategies rank it by its state."""
    assert preferred(state=State.INFEASIBLE, val_error=0.9) == 0.0
    assert preferred(state=State.FAILED, val_error=0.9) == 0.0


def test_a_preference_draws_the_search_into_the_wanted_ranges():
    """That is what it is for."""
    share = {}
    for case in ("nsga2, narrow", None):
        searches = [ViewedSearch(case, seed=seed) if case else ToySearch("nsga2", seed=seed) for seed in range(6)]
        losses = np.vstack([search.run(150).history.losses[50:] for search in searches])
        share[case] = np.mean((losses[:, 0] <= 0.15) & (losses[:, 2] <= 1))

    assert share["nsga2, narrow"] > 1.5 * share[None]


def test_without_scalar_and_preference_there_is_no_view():
    """Nothing between a study and its strategy where nothing is asked for."""
    setting = Setting(space=TINY[0], objectives=OBJECTIVES, preference={"val_error": (0.1, None)})

    assert not isinstance(build_view(StrategySpec(use="random"), setting), View)
