"""What every search strategy keeps, whatever it thinks of architectures."""

from __future__ import annotations

import json
from itertools import pairwise
from math import log

import numpy as np
import pytest
from toy_search import ToySearch
from toy_space import OBJECTIVES, ToySpace

from nasd import spaces
from nasd.domain.data import Problem
from nasd.domain.extremes import count_extremes
from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import trial_rng
from nasd.domain.space import SearchSpace
from nasd.domain.study import ParameterSpec, SpaceSpec, StrategySpec
from nasd.errors import NotBuiltYet, SpaceExhausted, UserError
from nasd.strategies import KNOWN, build
from nasd.strategies.base import Setting
from nasd.strategies.fresh import unproposed
from nasd.strategies.random import RandomSearch

SETTING = Setting(space=ToySpace(), objectives=OBJECTIVES)
PROBLEM = Problem(input_shape=(4,), n_outputs=2)

TINY = (
    ToySpace(max_depth=1, widths=(8,), kernels=(1,), groups=(1,)),
    ToySpace(max_depth=1, widths=(8, 16), kernels=(1,), groups=(1,)),
    ToySpace(max_depth=2, widths=(8, 16), kernels=(3,), groups=(1,)),
    ToySpace(max_depth=2, widths=(8, 16), kernels=(1, 3), groups=(1, 2)),
)


@pytest.fixture(params=[*KNOWN, "random, stratified"])
def use(request) -> str:
    return request.param


def replay(search: ToySearch) -> list[str]:
    """Every proposal again, each from the rows that it saw, one strategy all along; trials' keys."""
    fresh, history, keys = search.fresh_strategy(), History(search.objectives), []
    for number, architecture in enumerate(search.history.architectures):
        for fact in search.history.facts[len(history.facts) : search.proposed_from[number]]:
            history.learn(fact)
        proposal = fresh.propose(history, number, trial_rng(search.seed, number))
        keys.append(proposal.architecture.key)
        history.add(proposal)
        assert architecture.key == keys[-1], f"trial {number} differs"
    return keys


class RecordedSearch(ToySearch):
    """Remembers how many facts each proposal saw, as a trial's row does."""

    def __init__(self, use: str, **options) -> None:
        super().__init__(use, **options)
        self.proposed_from: list[int] = []

    def propose(self) -> TrialNumber:
        self.proposed_from.append(len(self.history.facts))
        return super().propose()


def copied(history: History) -> History:
    """The same rows in another object, as after a restart."""
    copy = History(history.objectives)
    for number, architecture in enumerate(history.architectures):
        copy.add(Proposal(architecture, history.operators[number], history.parents[number]))
    for fact in history.facts:
        copy.learn(fact)
    return copy


def rough_weather(search: ToySearch, number: TrialNumber) -> None:
    """Results as they come: most complete, some lost, infeasible, pruned, cancelled, and some values revised later."""
    fate = np.random.default_rng([search.seed, 2, number]).random()
    if fate < 0.1:
        search.learn(number, values={}, state=State.FAILED)
    elif fate < 0.2:
        search.learn(number, values={}, state=State.INFEASIBLE, violation=fate if fate < 0.15 else 0.0)
    elif fate < 0.25:
        search.learn(number, values={"params": 5.0}, state=State.PRUNED)
    elif fate < 0.28:
        search.learn(number, values={}, state=State.CANCELLED)
    elif fate < 0.35:
        search.learn(number, violation=fate)
    else:
        search.learn(number)
        if fate > 0.85:
            old = int(np.random.default_rng([search.seed, 3, number]).integers(number + 1))
            values = {each.name: 0.9 * (2 + fate) for each in search.objectives}
            if search.history.state(TrialNumber(old)) is State.COMPLETED:
                search.learn(TrialNumber(old), values=values, kind="revision")


def test_same_rows_give_the_same_proposals(use):
    """A killed controller goes on as if nothing had happened, and `nasd replay` can check every trial."""
    search = RecordedSearch(use, seed=3, population=8).run(60, finish=rough_weather)

    assert [each.key for each in search.history.architectures] == replay(search)
    assert (
        search.proposal() == search.proposal(search.fresh_strategy()) == search.proposal(history=copied(search.history))
    )


@pytest.mark.parametrize("when", [1, 9, 30, 59])
def test_dropping_or_restoring_the_cache_changes_no_proposal(use, when):
    """The cache saves time at a resume; wherever it was taken, it must say what the rows say."""
    search = RecordedSearch(use, seed=4, population=8)
    search.run(when, finish=rough_weather)
    kept = json.loads(json.dumps(search.strategy.cache()))
    search.run(60 - when, finish=rough_weather)
    restored = search.fresh_strategy()
    if kept is not None:
        restored.restore(kept[0], kept[1])

    assert search.proposal() == search.proposal(restored) == search.proposal(search.fresh_strategy())
    assert search.strategy.cache() == restored.cache()


def test_useless_cache_is_left_aside(use):
    """A damaged or foreign cache costs the time of a rebuild, never a study."""
    search = ToySearch(use, seed=5, population=8).run(40)
    kept = search.strategy.cache()
    seq, state = kept if kept is not None else (40, {})
    for bad in ({}, {**state, "version": "other"}, {**state, "losses": [[1.0]]}, {**state, "numbers": "x"}):
        damaged = search.fresh_strategy()
        damaged.restore(seq, bad)
        assert search.proposal() == search.proposal(damaged)
    for wrong_seq in (seq + 1, seq + 1000):  # a label that the rows contradict, and one beyond the rows
        mislabelled = search.fresh_strategy()
        mislabelled.restore(wrong_seq, state)
        assert search.proposal() == search.proposal(mislabelled)
    beyond = ToySearch(use, seed=5, population=8).run(10)
    beyond.strategy.restore(seq, state)  # taken later than the rows that are left
    assert beyond.proposal() == beyond.proposal(beyond.fresh_strategy())


def test_another_history_is_not_taken_for_the_one_consumed(use):
    """A mind that is thrown away and rebuilt hands over a new object with fewer rows."""
    long, short = ToySearch(use, seed=6, population=8).run(40), ToySearch(use, seed=7, population=8).run(20)
    expected = short.proposal()
    long.proposal()

    assert expected == long.strategy.propose(short.history, 20, trial_rng(7, 20))
    assert long.proposal() == long.proposal(long.fresh_strategy())


@pytest.mark.parametrize("seed", range(3))
def test_no_architecture_is_proposed_twice(use, seed):
    """Not even while its twin is in flight: the result is already paid for."""
    search = ToySearch(use, seed=seed, population=8).run(120, in_flight=8, finish=rough_weather)
    keys = [architecture.key for architecture in search.history.architectures]

    assert len(set(keys)) == len(keys) == 120


def test_order_of_arrival_is_taken_as_learned(use):
    """Any order is a good order: proposals stay legal, fresh and repeatable."""
    for seed in range(4):
        search = RecordedSearch(use, seed=seed, population=8)
        for _ in range(24):
            search.propose()
        for number in np.random.default_rng(seed).permutation(24):
            search.learn(TrialNumber(int(number)))
        search.run(10)
        assert replay(search) == [each.key for each in search.history.architectures]


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
def test_one_to_four_objectives(use, n_objectives):
    """One objective is a search for one best network, four include a maximised one."""
    search = ToySearch(use, objectives=OBJECTIVES[:n_objectives], population=8).run(60)

    assert len(search.history) == 60
    assert not np.isnan(search.history.losses).any()


def test_never_waits_for_results(use):
    """Forty workers and a population of eight: all of them get work before the first result."""
    search = ToySearch(use, population=8)
    for _ in range(40):
        search.propose()

    assert search.history.n_in_flight == 40


def test_lost_results_never_stop_a_search(use):
    """A night without a working device teaches nothing, and the morning goes on."""
    search = ToySearch(use, population=8)
    search.run(40, finish=lambda toy, number: toy.learn(number, values={}, state=State.FAILED))

    assert search.proposal().parents == ()
    search.run(40)


def test_everything_infeasible_is_still_a_search(use):
    """A limit that nothing satisfies yet."""
    search = ToySearch(use, population=8)
    search.run(60, finish=lambda toy, number: toy.learn(number, values={}, state=State.INFEASIBLE, violation=1.0))

    assert len({each.key for each in search.history.architectures}) == 60


@pytest.mark.parametrize("space", TINY, ids=lambda space: f"{space.size} members")
@pytest.mark.parametrize("in_flight", [1, 8])
def test_space_is_exhausted_exactly_when_all_was_proposed(use, space, in_flight):
    """Ending early wastes the last members, ending late hangs the study."""
    search = ToySearch(use, space=space, population=4)
    with pytest.raises(SpaceExhausted, match=str(space.size)):
        search.run(10_000, in_flight=in_flight)

    assert len({each.key for each in search.history.architectures}) == len(search.history) == space.size
    with pytest.raises(SpaceExhausted):
        search.proposal()


def test_generator_passed_is_the_only_randomness(use):
    """The global state of numpy and the process's hash seed must not matter."""
    search = ToySearch(use, seed=8, population=8).run(40)
    np.random.seed(1)
    first = search.proposal()
    np.random.seed(2)

    assert first == search.proposal()
    other = [search.strategy.propose(search.history, 40, np.random.default_rng(seed)) for seed in range(20)]
    assert len({proposal.architecture.key for proposal in other}) > 1


def test_parents_are_trials_that_were_learned(use):
    """The family tree is public (the parents column); a parent in flight would be a lie."""
    search = RecordedSearch(use, seed=9, population=8).run(60, finish=rough_weather)
    for number, parents in enumerate(search.history.parents):
        learned = {fact.trial for fact in search.history.facts[: search.proposed_from[number]]}
        assert set(parents) <= learned


def test_facts_are_gap_free_in_the_toy_itself():
    """The suite's own driver keeps the learned order that the controller promises."""
    facts = ToySearch("random").run(20).history.facts

    assert all(isinstance(fact, Fact) and after.seq == fact.seq + 1 for fact, after in pairwise(facts))


@pytest.mark.parametrize("name", ["tpe", "sms-emoa", "screened"])
def test_planned_strategy_is_named_as_such(name):
    """A user who read the design is told that it is not there yet, and what is."""
    with pytest.raises(NotBuiltYet, match=rf'"{name}".*nsga2, random'):
        build(StrategySpec(use=name), SETTING)


def test_unknown_strategy_is_refused_with_the_known_ones():
    """A typing mistake is answered with what could have been meant."""
    with pytest.raises(UserError, match=r'"nsga3".*known: nsga2, random') as caught:
        build(StrategySpec(use="nsga3"), SETTING)

    assert not isinstance(caught.value, NotBuiltYet)


def shares_at_the_ends(space: SearchSpace, *, stratified: bool) -> tuple[float, float]:
    """Of 160 random architectures: how many lie in the first and in the last eighth of the logarithm of parameters."""
    strategy, history = RandomSearch(space, stratified=stratified), History(OBJECTIVES[:1])
    for number in range(160):
        history.add(strategy.propose(history, number, trial_rng(11, number)))
    low, high = (log(count) for count in count_extremes(space)["params"])
    places = [(log(space.counts(each)["params"]) - low) / (high - low) for each in history.architectures]
    return sum(place < 1 / 8 for place in places) / 160, sum(place > 7 / 8 for place in places) / 160


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_stratified_samples_reach_both_ends_of_the_costs(kind):
    """Genes drawn evenly leave the smallest and the largest networks, half of a front, to chance."""
    space = spaces.build(SpaceSpec(kind=kind), Problem(input_shape=(1, 8, 8), n_outputs=10))
    uniform, stratified = (shares_at_the_ends(space, stratified=each) for each in (False, True))

    assert min(stratified) > 0.09
    assert min(uniform) < 0.04
    assert sum(stratified) > 2 * sum(uniform)


def test_stratified_sampling_is_uniform_where_no_parameters_are_known_ahead():
    """A custom space has no counts before a module is built; the study must not end over it."""
    space = spaces.build(SpaceSpec(kind="custom", params={"x": ParameterSpec(int_range=(1, 50))}), PROBLEM)
    history = History(OBJECTIVES[:1])
    for number in range(20):
        proposals = [
            RandomSearch(space, stratified=each).propose(history, number, trial_rng(1, number))
            for each in (True, False)
        ]
        assert proposals[0] == proposals[1] == Proposal(unproposed(space, history, trial_rng(1, number)), "sample")
        history.add(proposals[0])


def test_one_member_is_enough_for_stratified_sampling():
    """Nothing can be mutated there, and nothing need be."""
    one = {"layers": (2,), "width": (128,), "activation": ("relu",), "norm": ("none",), "dropout": (0.0,)}
    params = {name: ParameterSpec(choice=options) for name, options in one.items()}
    space, history = spaces.build(SpaceSpec(kind="mlp", params=params), PROBLEM), History(OBJECTIVES[:1])
    strategy = RandomSearch(space, stratified=True)
    history.add(strategy.propose(history, 0, trial_rng(0, 0)))
    with pytest.raises(SpaceExhausted):
        strategy.propose(history, 1, trial_rng(0, 1))
