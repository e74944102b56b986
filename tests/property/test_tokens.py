"""What the token view of every space keeps: masks are never broken, and a member's tokens lead back to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from space_cases import SPACES
from toy_space import ToySpace

from nasd.domain.architecture import Architecture
from nasd.domain.sequences import Open, Sequences, Sequential, Token
from nasd.domain.space import SearchSpace

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
    """Tokens of a canonical form lead to it; only numbers may come out as others of their bin."""
    left = list(tokens)
    architecture = sequences.walk(lambda _: left.pop(0).option, np.random.default_rng(0))
    assert not left
    assert architecture is not None
    assert architecture == to or sequences.walked(architecture) == tokens


def test_masks_hold(space):
    """A masked option that is taken, or a walk that ends in an illegal network, would waste an evaluation."""
    check(space, 150)


@pytest.mark.exhaustive
def test_masks_hold_in_a_hundred_thousand_walks(space):
    """Rare combinations as well."""
    check(space, N_EXHAUSTIVE)
