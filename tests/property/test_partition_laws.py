"""Cutting rows into splits: a partition, of the sizes asked for, every class in proportion, for any class counts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nasd.data.partition import contiguous, plain, size_of, stratified
from nasd.data.split import windows

class_counts = st.lists(st.integers(1, 60), min_size=1, max_size=6)
share = st.floats(0, 0.5)
seeds = st.integers(0, 2**63 - 1)


@settings(max_examples=200, deadline=None)
@given(counts=class_counts, test=share, validation=share, seed=seeds)
def test_parts_are_disjoint_complete_sized_and_stratified(
    counts: list[int], test: float, validation: float, seed: int
) -> None:
    """A row in two splits leaks; a class missing from validation makes errors incomparable."""
    y = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    y = y[np.random.default_rng(seed).permutation(len(y))]
    sizes = (int(len(y) * test), int(len(y) * validation))
    parts = stratified(y, sizes, seed=seed)
    assert [len(part) for part in parts] == [*sizes, len(y) - sum(sizes)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(y)))
    for part, size in zip(parts, sizes, strict=False):
        expected = np.array(counts) * size / len(y)
        assert np.abs(np.bincount(y[part], minlength=len(counts)) - expected).max() < 2
    again = stratified(y, sizes, seed=seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 300), test=share, validation=share, seed=seeds)
def test_plain_and_contiguous_parts_are_disjoint_complete_and_sized(
    n: int, test: float, validation: float, seed: int
) -> None:
    """The same law where there are no classes, and along a text, whose test part is its end."""
    sizes = (int(n * test), int(n * validation))
    along = [np.arange(n)[part] for part in contiguous(n, sizes)]
    for parts in (plain(n, sizes, seed=seed), along):
        assert [len(part) for part in parts] == [*sizes, n - sum(sizes)]
        assert sorted(np.concatenate(parts).tolist()) == list(range(n))
        assert all((np.diff(part) > 0).all() for part in parts)
    test_part, validation_part, train_part = along
    assert np.array_equal(np.concatenate([train_part, validation_part, test_part]), np.arange(n))


@given(part=st.integers(1, 99), hundreds=st.integers(1, 700))
def test_a_share_that_comes_out_even_is_not_rounded_up(part: int, hundreds: int) -> None:
    """0.07 * 100 is a little more than 7 in floating point; the user means 7."""
    assert size_of(part / 100, 100 * hundreds) == part * hundreds


@given(n=st.integers(2, 200), context=st.integers(1, 40), every=st.sampled_from(["token", "window"]))
def test_windows_hold_each_tokens_successor(n: int, context: int, every: str) -> None:
    """A target that is shifted by one too many teaches nothing; a window past the end would read other memory."""
    context = min(context, n - 1)
    tokens = np.arange(n)
    x, y = windows(tokens, context, every=1 if every == "token" else context)
    assert np.array_equal(y, x + 1)
    assert len(x) == (n - context if every == "token" else (n - 1) // context)
    assert x.base is not None
