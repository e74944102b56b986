"""Cutting rows into splits: a partition, of the sizes asked for, every class in proportion, for any class counts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nasd.data.partition import stratified

class_counts = st.lists(st.integers(1, 60), min_size=1, max_size=6)
share = st.floats(0, 0.5)


@settings(max_examples=200, deadline=None)
@given(counts=class_counts, test=share, validation=share, seed=st.integers(0, 2**63 - 1))
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
