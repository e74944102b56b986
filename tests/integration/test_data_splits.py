"""The built-in data sets and their splits: what was recorded, disjoint, complete, stratified, read-only."""

import bz2
import subprocess
import sys
from dataclasses import fields, replace
from pydoc_data.topics import topics

import numpy as np
import pytest
from sklearn.datasets import load_digits

from nasd.data import builtin, describe, search_split
from nasd.data.cache import tokens_sha256
from nasd.data.final import test_split as final_split
from nasd.domain.data import DataFacts, Task
from nasd.domain.study import DataSpec
from nasd.errors import UserError, WorldFault

SPEC = DataSpec(use="digits", seed=0)
TEXT = DataSpec(use="text")
GOLDEN = {  # scikit-learn's copy of the data has not changed since 2012; a change here is another data set
    "train": "974101f54ebe173d2bfa4c1d5e524825a66ddf0429bee1a5ea746ae7b2a34848",
    "validation": "f42b75bc9063f81c4da0982ec1c75aaf55c21d422f29a4f9dd8757c375dbc1d4",
    "test": "d61a45929dac2ac3a6852f05688e9ecdc517eaa1a4ccb03951af13e63b9cc553",
}
GOLDEN_MNIST1D = {  # drawn from numpy's legacy generator, whose stream is frozen (NEP 19), rounded to float32
    "train": "fd0295a3fb002ab56c3f8f26ebefeb58d81242020538262d28f681882e36f0c8",
    "validation": "521a02e74243cfbfd531c9f845fc481ed1f48554104d2def545ff13f798d6875",
    "test": "9ae88dc1b0a618748cf5c06c588bc097f5a63f6121293575dd91e840501efd5f",
}


def test_facts_of_digits_are_what_they_were_recorded_as() -> None:
    """A worker with other data is refused by these hashes, so they may not depend on machine or version."""
    facts = describe(SPEC)
    assert dict(facts.sha256) == GOLDEN
    assert (facts.n_train, facts.n_validation, facts.n_test) == (1077, 360, 360)
    assert (facts.input_shape, facts.n_outputs, facts.trivial_error) == ((1, 8, 8), 10, 0.9)


def test_mnist1d_is_what_it_was_recorded_as_and_leaves_the_process_alone(tmp_path, monkeypatch) -> None:
    """Published results are on these samples and its authors' test split. Its package seeds and draws from numpy's
    global generator, and pulls in plotting and network libraries: all that happens in another process.
    """
    monkeypatch.setenv("NASD_CACHE", str(tmp_path))
    code = (
        "import sys, numpy as np; np.random.seed(3); before = np.random.get_state()[1].copy(); "
        "from nasd.data import describe; from nasd.domain.study import DataSpec; describe(DataSpec(use='mnist1d')); "
        "print((np.random.get_state()[1] == before).all()); "
        "print([m for m in ('mnist1d', 'matplotlib', 'requests', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "[]"]

    facts = describe(DataSpec(use="mnist1d"))
    assert dict(facts.sha256) == GOLDEN_MNIST1D
    assert (facts.n_train, facts.n_validation, facts.n_test) == (3200, 800, 1000)
    assert (facts.input_shape, facts.n_outputs) == ((1, 40), 10)


def test_the_text_is_cut_along_itself_and_hashed_as_bytes() -> None:
    """Its hash is that of the text's own bytes, so that anyone can check which Python's documentation it was."""
    content = np.frombuffer("\n".join(topics.values()).encode(), dtype=np.uint8)
    facts = describe(TEXT, Task.LM)
    n = -(-len(content) // 20)
    parts = {"train": content[: -2 * n], "validation": content[-2 * n : -n], "test": content[-n:]}
    assert dict(facts.sha256) == {name: tokens_sha256(part.astype(np.int64)) for name, part in parts.items()}
    assert (facts.input_shape, facts.n_outputs, facts.vocabulary) == ((64,), 256, 256)
    assert (facts.n_train, facts.n_validation) == (len(parts["train"]) - 64, (n - 1) // 64)
    assert 0.5 < facts.trivial_error < 1
    bits_per_byte = 8 * len(bz2.compress(parts["test"].tobytes())) / n
    assert 2 < bits_per_byte < 2.4  # the figure that language models are compared with


def test_windows_of_a_text_are_views_whose_targets_are_the_next_tokens() -> None:
    """A copy of every window would be 64 times the text; validation windows count each token once."""
    split = search_split(replace(TEXT, context=16), task=Task.LM)
    assert (split.task, split.vocabulary, split.train_x.shape[1]) == (Task.LM, 256, 16)
    assert np.array_equal(split.train_x[1:], split.train_y[:-1])
    assert np.array_equal(split.validation_x[1:, 0], split.validation_y[:-1, -1])
    assert split.train_x.strides == (8, 8)
    assert split.validation_x.strides == (16 * 8, 8)
    assert not split.train_x.flags.writeable


def test_digits_are_scikit_learns() -> None:
    """They are read from its file without importing it; a user compares with `load_digits`."""
    table = builtin.LOADERS["digits"]().pool
    theirs_x, theirs_y = load_digits(return_X_y=True)
    assert np.array_equal(table.x[:].reshape(-1, 64), (theirs_x / 16).astype(np.float32))
    assert np.array_equal(table.y, theirs_y)


def test_splits_are_scaled_typed_and_read_only() -> None:
    """They are shared by everything in the process; a write would change the next evaluation's data."""
    split = search_split(SPEC)
    assert (np.float32, np.int64) == (split.train_x.dtype, split.train_y.dtype)
    assert (float(split.train_x.min()), float(split.train_x.max())) == (0.0, 1.0)
    for array in (split.train_x, split.train_y, split.validation_x, split.validation_y):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_splits_are_disjoint_and_complete_by_content() -> None:
    """A test image among the training images would make every reported score a lie."""
    split, facts = search_split(SPEC), describe(SPEC)
    test_x, test_y = final_split(SPEC, facts)
    assert test_x.shape == (360, 1, 8, 8)
    rows = [{(*x.ravel().tolist(), int(y)) for x, y in zip(xs, ys, strict=True)} for xs, ys in (
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
    with pytest.raises(UserError, match=r'data\.use = "digit": no such data set; known: digits, mnist1d, text'):
        describe(DataSpec(use="digit"))


def test_a_task_that_a_data_set_is_not_for_is_refused() -> None:
    """The commonest slip: the text without `train.task`."""
    with pytest.raises(UserError, match=r'data\.use = "text": it is a text.*Set train\.task = "lm"'):
        describe(TEXT)
    with pytest.raises(UserError, match=r'data\.use = "digits": there are targets.*Change train\.task'):
        describe(SPEC, Task.LM)


def test_what_a_search_sees_has_no_test_part() -> None:
    """Not even by a name that a curious evaluation function could follow."""
    assert not any("test" in field.name for field in fields(search_split(SPEC)))


def test_facts_survive_being_stored() -> None:
    """They go to Postgres and to workers as JSON."""
    facts = replace(describe(SPEC), classes=("cat", "dog"))
    stored = {field.name: getattr(facts, field.name) for field in fields(facts)} | {"classes": ["cat", "dog"]}
    assert DataFacts.from_json(stored) == facts
