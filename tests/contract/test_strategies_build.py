"""Building strategies by name, and the two ways in which `random` draws."""

from __future__ import annotations

from math import log

import pytest
from toy_space import OBJECTIVES, ToySpace

from nasd import spaces
from nasd.domain.data import Problem
from nasd.domain.extremes import count_extremes
from nasd.domain.history import History, Proposal
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


@pytest.mark.parametrize("use", KNOWN)
def test_a_strategy_says_its_name_and_version(use):
    """Both are stored with every trial: a replay by another version must be told apart."""
    strategy = build(StrategySpec(use=use), SETTING)

    assert strategy.name == use
    assert strategy.version.startswith(f"{use}-")


def test_unknown_strategy_is_refused_with_the_known_ones():
    """A typing mistake is answered with what could have been meant."""
    with pytest.raises(UserError, match=r'"nsga3".*known: aging-evolution, .*random') as caught:
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
