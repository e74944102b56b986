"""What inputs and targets become, and what is refused: the rules of `nasd.data.inputs` and `nasd.data.targets`."""

import numpy as np
import pytest

from nasd.data.files import tables
from nasd.data.inputs import chunks, common_layout, layout_of
from nasd.data.raw import BadData, Table
from nasd.data.targets import encode, trivial_error
from nasd.domain.data import Task

BYTE, FLOAT = np.uint8, np.float64


@pytest.mark.parametrize(
    ("shape", "dtype", "expected"),
    [
        ((5,), FLOAT, (1,)),
        ((5, 3), FLOAT, (3,)),
        ((5, 28, 28), BYTE, (1, 28, 28)),
        ((5, 9, 40), FLOAT, (9, 40)),
        ((5, 32, 30, 3), BYTE, (3, 32, 30)),
        ((5, 32, 30, 1), FLOAT, (1, 32, 30)),
        ((5, 3, 32, 30), BYTE, (3, 32, 30)),
        ((5, 1, 8, 3), FLOAT, (1, 8, 3)),
        ((5, 16, 8, 8), FLOAT, (16, 8, 8)),
    ],
)
def test_every_layout_becomes_channels_first(shape, dtype, expected):
    """Networks are built for this shape; a wrong guess would convolve over channels."""
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    layout = layout_of(x)
    (done,) = chunks(x, None, layout)
    assert (done.shape[1:], layout.shape, done.dtype) == (expected, expected, np.float32)
    as_given = np.moveaxis(x, -1, 1) if layout.is_channels_last else x
    assert np.allclose(done.ravel(), as_given.ravel() / (255 if dtype is BYTE else 1))


def test_rows_are_taken_in_the_order_asked_for_however_many_pieces_they_come_in(monkeypatch):
    """Inputs and targets are cut apart; one piece out of order would give images other images' labels."""
    monkeypatch.setattr("nasd.data.inputs._CHUNK_BYTES", 8)
    x, rows = np.arange(10.0), np.array([7, 1, 2, 9, 4])
    pieces = list(chunks(x, rows, layout_of(x)))
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert np.concatenate(pieces).ravel().tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array(["a", "b"]), "not numbers"),
        (np.zeros((2, 0)), "holds nothing"),
        (np.zeros((2, 3, 4, 5, 6)), "at most three axes"),
        (np.array([1.0, 2.0, np.nan]), "row 2 of the inputs"),
        (np.array([1.0, 1e300]), "row 1 of the inputs"),
    ],
)
def test_inputs_that_no_network_takes_are_refused(x, message):
    """A NaN in one row makes every loss NaN and would be blamed on every architecture."""
    with pytest.raises(BadData, match=message):
        list(chunks(x, None, layout_of(x)))


def test_parts_of_different_shape_or_scale_are_refused():
    """A test part in bytes beside a train part in floats would be divided by 255 and the other not."""
    train = Table(np.zeros((3, 4), np.float32))
    with pytest.raises(BadData, match=r"samples of train have the shape \(4,\), those of test \(5,\)"):
        common_layout({"train": train, "test": Table(np.zeros((3, 5), np.float32))})
    with pytest.raises(BadData, match="divided by 255"):
        common_layout({"train": train, "test": Table(np.zeros((3, 4), np.uint8))})


@pytest.mark.parametrize(
    ("y", "numbers", "classes"),
    [
        (np.array([0, 1, 2, 1], np.uint8), [0, 1, 2, 1], ()),
        (np.array([[0], [1]]), [0, 1], ()),
        (np.array([3, 7, 3]), [0, 1, 0], ("3", "7")),
        (np.array([-1, 1, 1]), [0, 1, 1], ("-1", "1")),
        (np.array(["dog", "cat", "dog"]), [1, 0, 1], ("cat", "dog")),
        (np.array(["dog", "cat"], dtype=object), [1, 0], ("cat", "dog")),
        (np.array([b"b", b"a"]), [1, 0], ("a", "b")),
        (np.array([True, False]), [1, 0], ("False", "True")),
    ],
)
def test_labels_become_class_numbers_and_say_what_they_stand_for(y, numbers, classes):
    """Cross-entropy needs 0 to k - 1; a front's user wants to know which class was which."""
    found = encode(Task.CLASSIFICATION, {"all": y})
    assert (found.parts["all"].tolist(), found.classes) == (numbers, classes)
    assert (found.n_outputs, found.parts["all"].dtype) == (len(set(numbers)), np.int64)


def test_classes_are_numbered_over_all_parts():
    """A test part that lacks a class must not shift the others' numbers."""
    found = encode(Task.CLASSIFICATION, {"train": np.array([5, 6, 7]), "test": np.array([7, 5])})
    assert (found.parts["test"].tolist(), found.n_outputs) == ([2, 0], 3)


def test_regression_and_labels_become_columns_of_float32():
    """One output or many: the shape that the network's output has."""
    one = encode(Task.REGRESSION, {"all": np.array([1, 2, 3])})
    many = encode(Task.MULTILABEL, {"all": np.array([[0, 1], [1, 1]], bool)})
    assert (one.parts["all"].tolist(), one.n_outputs) == ([[1], [2], [3]], 1)
    assert (many.parts["all"].tolist(), many.n_outputs) == ([[0, 1], [1, 1]], 2)
    assert one.parts["all"].dtype == many.parts["all"].dtype == np.float32


@pytest.mark.parametrize(
    ("task", "y", "message"),
    [
        ("classification", np.array([0.5, 1.5]), 'Set train.task = "regression"'),
        ("classification", np.eye(3), 'Set train.task = "multilabel"'),
        ("classification", np.zeros(4, int), "one class only, 0"),
        ("classification", np.zeros((2, 2, 2), int), "one value, or one row of values"),
        ("regression", np.array(["a"]), "the targets are text"),
        ("regression", np.array([1.0, np.inf]), "row 1 of the targets"),
        ("multilabel", np.array([[0, 2]]), "the targets hold 2"),
        ("lm", np.array([1, 2]), "Change train.task"),
        ("regression", np.array([1j]), "the targets are complex128"),
    ],
)
def test_targets_that_do_not_fit_the_task_are_refused_with_the_remedy(task, y, message):
    """The default task is classification; whoever brings prices has forgotten one line."""
    with pytest.raises(BadData, match=message):
        encode(Task(task), {"all": y})


def test_parts_whose_targets_differ_in_kind_or_width_are_refused():
    """Text beside numbers would be sorted as text and match nothing."""
    with pytest.raises(BadData, match="Make the types equal"):
        encode(Task.CLASSIFICATION, {"train": np.array([1, 2]), "test": np.array(["1", "2"])})
    with pytest.raises(BadData, match="different numbers of targets"):
        encode(Task.REGRESSION, {"train": np.zeros((2, 2)), "test": np.zeros((2, 3))})


def test_the_trivial_error_is_that_of_the_best_constant_answer_of_the_training_split():
    """The hypervolume's reference: whoever does worse has learned nothing."""
    train, validation = np.array([0, 1, 1]), np.array([0, 1, 2, 1])
    labels = np.array([[0, 1], [0, 1], [1, 1]], np.float32)
    assert trivial_error(Task.CLASSIFICATION, train, validation) == 0.5
    assert trivial_error(Task.MULTILABEL, labels, np.array([[1, 1], [0, 0]], np.float32)) == 0.5
    assert trivial_error(Task.REGRESSION, labels, labels) == 1


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y"),
        ("X_train", "y_train", "X_test", "y_test"),
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
    ],
)
def test_the_common_names_of_arrays_are_understood(names):
    """Keras, scikit-learn's habit and MedMNIST; each pair belongs together."""
    found = tables({name: np.full(3, number) for number, name in enumerate(names)})
    assert [(table.x[0], table.y[0]) for table in found.values()] == [(i, i + 1) for i in range(0, len(names), 2)]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("x", "y", "tset_x"), "named tset_x, x, y. Name them x and y"),
        (("x", "inputs", "y"), "two of them mean the x of all"),
        (("x", "y", "test_y"), "targets and no inputs of test"),
    ],
)
def test_arrays_whose_names_say_nothing_are_refused(names, message):
    """A misspelt test part that is passed over would silently be cut from the training rows instead."""
    with pytest.raises(BadData, match=message):
        tables({name: np.zeros(3) for name in names})
