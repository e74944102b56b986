"""Splits: disjoint, complete, stratified, the same everywhere, and the test split out of a search's reach."""

from dataclasses import fields, replace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from nasd.data import describe, partition, search_split
from nasd.data.final import test_split as final_split
from nasd.domain.study import DataSpec
from nasd.errors import UserError, WorldFault

SPEC = DataSpec(use="digits", seed=0)
GOLDEN = {  # scikit-learn's copy of the data has not changed since 2012; a change here is another data set
    "train": "974101f54ebe173d2bfa4c1d5e524825a66ddf0429bee1a5ea746ae7b2a34848",
    "validation": "f42b75bc9063f81c4da0982ec1c75aaf55c21d422f29a4f9dd8757c375dbc1d4",
    "test": "d61a45929dac2ac3a6852f05688e9ecdc517eaa1a4ccb03951af13e63b9cc553",
}


def test_facts_of_digits_are_what_they_were_recorded_as() -> None:
    """A worker with other data is refused by these hashes, so they may not depend on machine or version."""
    facts = describe(SPEC)
    assert dict(facts.sha256) == GOLDEN
    assert (facts.n_train, facts.n_validation, facts.n_test) == (1077, 360, 360)
    assert (facts.input_shape, facts.n_classes, facts.majority_error) == ((64,), 10, 0.9)


def test_digits_are_scikit_learns() -> None:
    """They are read from its file without importing it; a user compares with `load_digits`."""
    x, y = partition._digits()
    theirs_x, theirs_y = load_digits(return_X_y=True)
    assert np.array_equal(x, (theirs_x / 16).astype(np.float32))
    assert np.array_equal(y, theirs_y)


def test_splits_are_scaled_typed_and_read_only() -> None:
    """They are shared by everything in the process; a write would change the next evaluation's data."""
    split = search_split(SPEC)
    assert (np.float32, np.int64) == (split.train_x.dtype, split.train_y.dtype)
    assert (float(split.train_x.min()), float(split.train_x.max())) == (0.0, 1.0)
    with pytest.raises(ValueError, match="read-only"):
        split.train_x[0, 0] = 1


def test_splits_are_disjoint_and_complete_by_content() -> None:
    """A test image among the training images would make every reported score a lie."""
    split, facts = search_split(SPEC), describe(SPEC)
    test_x, test_y = final_split(SPEC, facts)
    rows = [{(*x.tolist(), int(y)) for x, y in zip(xs, ys, strict=True)} for xs, ys in (
        (split.train_x, split.train_y), (split.validation_x, split.validation_y), (test_x, test_y),
    )]  # fmt: skip
    assert sum(map(len, rows)) == len(set().union(*rows)) == 1797


def test_every_split_has_every_class_in_proportion() -> None:
    """With 36 samples of a class, an unstratified split would move the error by more than networks differ."""
    split = search_split(SPEC)
    shares = np.bincount(split.train_y) / len(split.train_y)
    assert np.abs(np.bincount(split.validation_y) - shares * 360).max() < 1.5


def test_another_seed_is_another_split() -> None:
    """The seed is the user's way to check that a finding is not the split's."""
    assert describe(SPEC).sha256["train"] != describe(DataSpec(use="digits", seed=1)).sha256["train"]


def test_data_that_hash_differently_are_the_worlds_fault() -> None:
    """A worker with another copy of the data must not report errors on it."""
    facts = describe(SPEC)
    wrong = replace(facts, sha256={**facts.sha256, "validation": "0" * 64})
    with pytest.raises(WorldFault, match="validation") as caught:
        search_split(SPEC, wrong)
    assert caught.value.kind == "data_mismatch"
    with pytest.raises(WorldFault):
        final_split(SPEC, replace(facts, sha256={}))
    assert search_split(SPEC, facts) is search_split(SPEC)


def test_an_unknown_data_set_is_refused_naming_the_known_ones() -> None:
    """The remedy is in the sentence."""
    with pytest.raises(UserError, match=r'data\.use = "digit": no such data set; known: digits'):
        describe(DataSpec(use="digit"))


def test_what_a_search_sees_has_no_test_part() -> None:
    """Not even by a name that a curious evaluation function could follow."""
    assert not any("test" in field.name for field in fields(search_split(SPEC)))
