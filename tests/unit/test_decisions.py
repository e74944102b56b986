"""A space as a flat list of decisions, and the way back: what models of numbers see."""

import numpy as np
import pytest
from space_cases import SPACES
from toy_space import ToySpace

from nasd.domain.decisions import Decided, Options
from nasd.strategies.optuna_seen import SeenSpace
from nasd.strategies.optuna_view import Axes

N = 60


@pytest.fixture(params=[*SPACES, "toy, seen", "mlp, seen"])
def decided(request) -> tuple:
    """A space, and it as decisions."""
    if request.param.endswith(", seen"):
        name = request.param.removesuffix(", seen")
        space = ToySpace() if name == "toy" else SPACES[name].space()
        return space, SeenSpace(space)
    space = SPACES[request.param].space()
    return space, space


def sampled(space, n=N, seed=0) -> list:
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(n)]


def chosen_blindly(decisions, rng) -> dict:
    """Every decision, each for itself."""
    choices = {}
    for each in decisions:
        if isinstance(each.domain, Options):
            choices[each.name] = each.domain.values[int(rng.integers(len(each.domain.values)))]
        else:
            number = rng.uniform(each.domain.low, each.domain.high)
            choices[each.name] = round(number) if each.domain.is_whole else number
    return choices


def test_every_family_offers_decisions(decided):
    """Without them a model sees only what samples happen to show."""
    _, view = decided
    names = [each.name for each in view.decisions()]

    assert isinstance(view, Decided)
    assert len(set(names)) == len(names) > 0
    assert view.decisions() == view.decisions()
    assert all(len(each.domain.values) > 1 for each in view.decisions() if isinstance(each.domain, Options))


def test_architecture_comes_back_from_its_own_decisions(decided):
    """What a model is told and what it suggests must speak of the same network."""
    space, view = decided
    for architecture in sampled(space):
        if isinstance(view, SeenSpace):
            view.see(architecture)
        choices = view.decided(architecture)
        assert architecture == view.decide(choices, np.random.default_rng(1))


def test_any_choices_lead_to_a_member(decided):
    """A model knows nothing of conditions and constraints."""
    space, view = decided
    decisions, rng = view.decisions(), np.random.default_rng(2)
    for _ in range(N):
        member = view.decide(chosen_blindly(decisions, rng), rng)
        assert member == space.canonical(member.as_dict())


def test_only_what_is_optional_is_ever_absent(decided):
    """A model that needs every parameter of every trial reserves a value for the others alone."""
    space, view = decided
    for architecture in sampled(space, seed=3):
        if isinstance(view, SeenSpace):
            view.see(architecture)
    needed = {each.name for each in view.decisions() if not each.is_optional}
    for architecture in sampled(space, seed=3):
        assert needed <= view.decided(architecture).keys()


@pytest.mark.parametrize("fixed", [False, True])
def test_numbers_and_choices_are_inverse(decided, fixed):
    """Ranks stand for options, so that True and 1, or "a" and 0.5, are nothing special."""
    space, view = decided
    for architecture in sampled(space, seed=4):
        if isinstance(view, SeenSpace):
            view.see(architecture)
    axes = Axes(view.decisions(), fixed=fixed)
    names = {each.name for each in view.decisions()}
    optional = {each.name for each in view.decisions() if each.is_optional and axis_is_whole(axes, each.name)}
    for architecture in sampled(space, seed=4):
        choices = {name: value for name, value in view.decided(architecture).items() if name in names}
        numbers = axes.numbers(choices)
        back = axes.choices(numbers)

        assert not fixed or numbers.keys() == names
        assert all(axis.low <= numbers[axis.name] <= axis.high for axis in axes.axes if axis.name in numbers)
        assert choices == {name: value for name, value in back.items() if name in choices or name in optional}


def axis_is_whole(axes: Axes, name: str) -> bool:
    return next(axis.kind != "real" for axis in axes.axes if axis.name == name)


def test_order_in_which_a_space_is_seen_changes_nothing():
    """Rows are read in one order at a restart and arrive in another."""
    architectures = sampled(ToySpace(), n=300, seed=5)
    one, other = SeenSpace(ToySpace()), SeenSpace(ToySpace())
    for architecture in architectures:
        one.see(architecture)
    for architecture in reversed(architectures):
        other.see(architecture)

    assert one.decisions() == other.decisions()
    choices = chosen_blindly(one.decisions(), np.random.default_rng(6))
    assert one.decide(choices, np.random.default_rng(7)) == other.decide(choices, np.random.default_rng(7))


def test_contradiction_is_mended_with_few_changes():
    """A suggestion that breaks one constraint must not become a random network."""
    space = SPACES["custom, few legal"].space()
    rng = np.random.default_rng(8)
    for _ in range(40):
        choices = chosen_blindly(space.decisions(), rng)
        member = space.decided(space.decide(choices, rng))
        assert sum(value != choices.get(name, value) for name, value in member.items()) <= 2
