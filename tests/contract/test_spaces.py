"""The laws of `nasd.domain.space.SearchSpace`, for every space there is. A later space joins `space_cases.SPACES`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from space_cases import DIGITS, SPACES, Case

from nasd import spaces
from nasd.domain.architecture import Architecture
from nasd.domain.space import SearchSpace
from nasd.domain.study import SpaceSpec
from nasd.errors import SpaceExhausted, UserError

every_space = pytest.mark.parametrize("case", SPACES.values(), ids=SPACES)
seeds = st.integers(0, 2**32 - 1)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def assert_legal(space: SearchSpace, architecture: Architecture) -> None:
    assert architecture == space.canonical(architecture.as_dict())
    assert architecture.json == space.canonical(architecture.as_dict()).json


@every_space
@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_whatever_the_operators_return_is_legal_and_canonical(case: Case, seed: int) -> None:
    """An illegal child would be trained, stored and only then found out."""
    space, draws = case.space(), rng(seed)
    mother, father = space.sample(draws), space.sample(draws)
    for architecture in (mother, father, space.mutate(mother, draws), space.crossover(mother, father, draws)):
        assert_legal(space, architecture)


@every_space
@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_mutation_always_changes_the_key(case: Case, seed: int) -> None:
    """A child equal to its parent costs a proposal and teaches nothing."""
    space, draws = case.space(), rng(seed)
    parent = space.sample(draws)
    assert space.mutate(parent, draws).key != parent.key


@every_space
@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_operators_depend_on_the_generator_alone(case: Case, seed: int) -> None:
    """Replay recomputes every proposal from rows: the same generator state must give the same child."""

    def children(space: SearchSpace) -> list[Architecture]:
        draws = rng(seed)
        mother, father = space.sample(draws), space.sample(draws)
        return [mother, father, space.mutate(mother, draws), space.crossover(mother, father, draws)]

    assert children(case.space()) == children(case.space())


@every_space
@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_an_architecture_survives_json_and_canonical_again(case: Case, seed: int) -> None:
    """It crosses every wire as JSON, and its key is its identity."""
    space = case.space()
    architecture = space.sample(rng(seed))
    back = Architecture.from_json(architecture.json)
    assert back.key == architecture.key == space.canonical(back.as_dict()).key


@every_space
@settings(max_examples=50, deadline=None)
@given(seed=seeds)
def test_encoding_has_one_length_within_the_unit_box_and_tells_keys_apart(case: Case, seed: int) -> None:
    """Surrogates compare rows of one matrix; two networks with equal features could never be told apart."""
    space, draws = case.space(), rng(seed)
    members = {a.key: a for a in (space.sample(draws) for _ in range(20))}
    parents = list(members.values())
    members |= {a.key: a for a in (space.mutate(parent, draws) for parent in parents)}
    rows = np.array([space.encode(a) for a in members.values()])
    assert rows.ndim == 2
    assert rows.dtype == np.float64
    assert rows.min() >= 0
    assert rows.max() <= 1
    assert len(np.unique(rows, axis=0)) == len(members)


@every_space
def test_thousands_of_samples_are_legal(case: Case) -> None:
    """Sampling is how a search begins; a rare illegal sample would surface in a long study only."""
    space, draws = case.space(), rng(0)
    for _ in range(case.n_samples):
        architecture = space.sample(draws)
        assert architecture == space.canonical(architecture.as_dict())


@every_space
def test_counts_are_positive_integers_under_the_same_names(case: Case) -> None:
    """They are stored before anything is queued, and hard limits compare against them."""
    space = case.space()
    counts = [space.counts(space.sample(rng(seed))) for seed in range(5)]
    assert all(set(each) == set(counts[0]) for each in counts)
    assert ({"params", "flops"} <= set(counts[0])) == case.is_counted
    assert all(type(n) is int and n > 0 for each in counts for n in each.values())


@every_space
def test_size_is_exact_where_the_space_is_small_enough_to_walk(case: Case) -> None:
    """A strategy knows by `size` that a space is exhausted: mutation must reach exactly that many members."""
    space = case.space()
    if space.size > 100:
        pytest.skip("too large to walk")
    draws = rng(0)
    here = space.sample(draws)
    seen = {here.key}
    for _ in range(50 * space.size):
        here = space.mutate(here, draws)
        seen |= {here.key, space.sample(draws).key}
    assert space.size == len(seen)


@every_space
def test_the_only_member_can_not_be_mutated(case: Case) -> None:
    """A strategy that loops until the key changes would hang."""
    space = case.alone()
    assert space.size == 1
    with pytest.raises(SpaceExhausted):
        space.mutate(space.sample(rng(0)), rng(0))


@every_space
def test_baselines_are_legal_distinct_and_named(case: Case) -> None:
    """Every strategy starts from the same hand-made networks; the closing lines compare against `medium`."""
    space = case.space()
    baselines = spaces.baselines(space)
    for _, architecture in baselines:
        assert_legal(space, architecture)
    assert len({a.key for _, a in baselines}) == len(baselines) == len({name for name, _ in baselines})
    assert case.middle in dict(baselines)


@every_space
def test_the_only_member_is_one_baseline(case: Case) -> None:
    """Baselines that collapse onto each other must not be trained three times."""
    space = case.alone()
    assert [(case.middle, space.sample(rng(0)))] == list(spaces.baselines(space))


@every_space
def test_an_unknown_choice_is_refused_by_name(case: Case) -> None:
    """A misspelt narrowing that was ignored would search another space than the one asked for."""
    if case.kind == "custom":
        pytest.skip("its choices are the user's")
    with pytest.raises(UserError, match=r"space\.params\.nonsense = \[1\].*its choices: "):
        case.built({"nonsense": (1,)})


def test_an_unknown_kind_is_refused() -> None:
    """The remedy is to mend the spelling: the sentence shows the kinds there are."""
    with pytest.raises(UserError, match=r'space\.kind = "mpl": no such space; known: .*mlp'):
        spaces.build(SpaceSpec(kind="mpl"), DIGITS)
