"""What the token view of every space keeps: masks are never broken, and a member's tokens lead back to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from space_cases import DIGITS, SPACES
from toy_space import ToySpace

from nasd import spaces
from nasd.domain.architecture import Architecture
from nasd.domain.sequences import Open, Sequences, Sequential, Token
from nasd.domain.space import SearchSpace
from nasd.domain.study import ParameterSpec, SpaceSpec

ALL: dict[str, Callable[[], SearchSpace]] = {
    **{name: case.space for name, case in SPACES.items()},
    "toy": ToySpace,
}
N_EXHAUSTIVE = 100_000 // len(ALL) + 1


@pytest.fixture(params=list(ALL))
def space(request) -> SearchSpace:
    return ALL[request.param]()


class Recorded:
    """Chooses at random, mostly one of the options that it likes, and remembers."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tokens: list[Token] = []

    def __call__(self, decision: Open) -> int:
        weights = np.array(decision.weights)
        assert (weights >= 0).all()
        assert weights.any()
        legal = np.flatnonzero(weights)
        option = int(legal[0]) if self.rng.random() < 0.2 else int(self.rng.choice(legal))
        self.tokens.append(Token(decision, option))
        return option


def walked(sequences: Sequences, seed: int) -> tuple[Architecture | None, tuple[Token, ...]]:
    chooser = Recorded(seed)
    architecture = sequences.walk(chooser, np.random.default_rng([seed, 1]))
    return architecture, tuple(chooser.tokens)


def check(space: SearchSpace, n: int) -> None:
    assert isinstance(space, Sequential)
    sequences = space.sequences()
    kinds, n_ended, n_same = sequences.kinds, 0, 0
    for seed in range(n):
        architecture, tokens = walked(sequences, seed)
        for token in tokens:
            kind = kinds[token.open.kind]
            assert len(token.open.weights) == kind.n_options > 1
            assert 0 <= token.open.place < kind.n_places
        if architecture is None:
            n_ended += 1
            continue
        assert space.canonical(architecture.as_dict()) == architecture
        found = sequences.walked(architecture)
        if found == tokens:
            n_same += 1
        elif found is not None:
            check_leads_back(sequences, found, architecture)
    assert n_ended < 0.6 * n
    assert n_same > 0


def check_leads_back(sequences: Sequences, tokens: tuple[Token, ...], to: Architecture) -> None:
    """Tokens of a canonical form lead to it; numbers may come out as others of their bin, which masks may depend on."""
    left, has_numbers = [token.option for token in tokens], any(isinstance(value, float) for _, value in to.genes)

    def choose(decision: Open) -> int:
        option = left.pop(0)
        if has_numbers and not decision.weights[option]:
            return int(np.flatnonzero(decision.weights)[0])
        return option

    architecture = sequences.walk(choose, np.random.default_rng(0))
    assert has_numbers or (architecture == to and not left)


def test_masks_hold(space):
    """A masked option that is taken, or a walk that ends in an illegal network, would waste an evaluation."""
    check(space, 150)


def test_samples_have_tokens_that_lead_back(space):
    """What anything else proposed can be read as decisions, so that its probability is known."""
    assert isinstance(space, Sequential)
    sequences, n_read = space.sequences(), 0
    for seed in range(60):
        architecture = space.sample(np.random.default_rng(seed))
        tokens = sequences.walked(architecture)
        if tokens is not None:
            n_read += 1
            check_leads_back(sequences, tokens, architecture)
    assert n_read > 50  # the rest lies in bins that hold hardly anything legal


def test_scalar_that_would_leave_a_later_one_without_an_option_is_masked():
    """Looking one step ahead costs little and saves walks that end in nothing."""
    params = {"x": ParameterSpec(int_range=(1, 12)), "y": ParameterSpec(choice=(2, 3))}
    space = spaces.build(SpaceSpec(kind="custom", params=params, constraints=("x * y == 12",)), DIGITS)
    sequences, seen = space.sequences(), []

    def choose(decision: Open) -> int:
        seen.append(np.flatnonzero(decision.weights).tolist())
        return seen[-1][0]

    assert sequences.walk(choose, np.random.default_rng(0)) is not None
    assert seen[0] == [3, 5]  # x = 4 and x = 6


def test_last_element_is_masked_by_what_reads_the_whole_list():
    """A list that breaks its constraint at the end would be thrown away."""
    params = {"n": ParameterSpec(int_range=(1, 3)), "width": ParameterSpec(choice=(1, 2, 4), each="n")}
    space = spaces.build(SpaceSpec(kind="custom", params=params, constraints=("sum(width) <= 6",)), DIGITS)
    wanted, seen = iter([2, 1, 1, 0]), []  # three layers: 2, 2 and one more

    def choose(decision: Open) -> int:
        seen.append(np.flatnonzero(decision.weights).tolist())
        return next(wanted)

    assert space.sequences().walk(choose, np.random.default_rng(0)) is not None
    assert seen[-1] == [0, 1]


def test_masked_option_is_refused():
    """A policy that takes one has a defect."""
    params = {"x": ParameterSpec(choice=(1, 2)), "y": ParameterSpec(choice=(1, 2))}
    space = spaces.build(SpaceSpec(kind="custom", params=params, constraints=("x < y",)), DIGITS)
    with pytest.raises(ValueError, match="x: option 1 is masked"):
        space.sequences().walk(lambda _: 1, np.random.default_rng(0))


@pytest.mark.exhaustive
def test_masks_hold_in_a_hundred_thousand_walks(space):
    """Rare combinations as well."""
    check(space, N_EXHAUSTIVE)
