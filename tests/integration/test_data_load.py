"""`data.load`: everything that a user's function may return, and every way in which it may fail."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from nasd.data import describe, search_split
from nasd.data.final import test_split as final_split
from nasd.data.own import taken
from nasd.data.raw import BadData
from nasd.domain.data import Task
from nasd.domain.study import DataSpec
from nasd.errors import FunctionError, Unavailable, UserError, WorldFault

X, Y = np.arange(60, dtype=np.float32).reshape(20, 3), np.arange(20) % 2


class Items(Dataset):
    """A torch data set whose items are made when they are asked for."""

    def __len__(self) -> int:
        return len(Y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(X)[index], int(Y[index])


@pytest.mark.parametrize(
    "returned",
    [
        (X, Y),
        [X, Y],
        (X.tolist(), Y.tolist()),
        (torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)),
        (torch.from_numpy(X).to(torch.bfloat16), Y),
        {"x": X, "y": Y},
        TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        Items(),
    ],
)
def test_uncut_data_come_in_many_forms(returned: object) -> None:
    """Users bring what they have; all of it is the same rows."""
    (table,) = taken(returned).parts.values()
    assert table.y is not None
    assert np.allclose(table.x[:], X, rtol=1e-2)
    assert table.y.tolist() == Y.tolist()


@pytest.mark.parametrize(
    "returned",
    [
        {"train": (X, Y), "test": (X[:5], Y[:5])},
        {"train": Items(), "test": {"x": X[:5], "y": Y[:5]}},
        {"train_x": X, "train_y": Y, "x_test": X[:5], "y_test": Y[:5]},
        ((X, Y), (X[:5], Y[:5])),
        (Items(), TensorDataset(torch.from_numpy(X[:5]), torch.from_numpy(Y[:5]))),
    ],
)
def test_given_parts_come_in_many_forms(returned: object) -> None:
    """The last but one is what Keras's loaders return, the last what torchvision's users have."""
    parts = taken(returned).parts
    assert list(parts) == ["train", "test"]
    assert [len(table.x) for table in parts.values()] == [20, 5]
    assert all(np.array_equal(table.y, Y[: len(table.x)]) for table in parts.values())


def test_three_parts_are_train_validation_and_test() -> None:
    """In the order in which everybody writes them."""
    parts = taken(((X, Y), (X[:7], Y[:7]), (X[:5], Y[:5]))).parts
    assert {name: len(table.x) for name, table in parts.items()} == {"train": 20, "validation": 7, "test": 5}


@pytest.mark.parametrize("returned", ["a b c", b"a b c", {"train": "a b c"}])
def test_a_text_is_its_bytes(returned: object) -> None:
    """A language model's user may have no more than a string."""
    raw = taken(returned)
    assert raw.vocabulary == 256
    assert bytes(raw.pool.x[:].tolist()) == b"a b c"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned NoneType, nothing that holds data"),
        (7, "returned int"),
        ((X, [[1], [1, 2]]), "rows of one length"),
        ((X, [object()] * 20), "Python objects"),
        ({"images": X, "answers": Y}, "it returned arrays named answers, images"),
        ({"train": {"train_x": X, "train_y": Y}}, "Name them x and y"),
    ],
)
def test_what_holds_no_data_is_refused(returned: object, message: str) -> None:
    """A forgotten `return` is the commonest."""
    with pytest.raises(BadData, match=message):
        taken(returned)


class Odd(Items):
    """The fourth item has another shape, the sixth is no pair."""

    def __getitem__(self, index: int) -> object:
        return (X[index][:2] if index == 3 else X[index], Y[index]) if index != 5 else X[index]


def test_an_item_that_differs_is_named() -> None:
    """One bad sample among thousands can't be found by hand."""
    with pytest.raises(BadData, match=r"item 3 of its data set has inputs of the shape \(2,\), item 0 of \(3,\)"):
        taken(Odd())


CODE = """
import os, sys
import numpy as np

X, Y = np.arange(60, dtype=np.float32).reshape(20, 3), np.arange(20) % 2

def load():
    print("x" * 100_000)
    os.write(1, b"from C as well")
    sys.stdin.read()
    return X, Y

def seeded(seed):
    return X + seed, Y

def drifting():
    return np.random.default_rng().normal(size=(20, 3)), Y

def raising():
    return open("none.csv")

def leaving():
    sys.exit("no licence")

def dying():
    os._exit(3)

def killed():
    os.kill(os.getpid(), 9)

def floats():
    return X, Y / 3

def elsewhere():
    if os.environ.get("CAM_MISSING"):
        raise FileNotFoundError("cam.csv")
    return X, Y

value = 3
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of the user's, importable here and by what this process starts."""
    (tmp_path / "cam_data.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NASD_CACHE", str(tmp_path / "cache"))
    return "cam_data"


def load_spec(function: str, **more: int) -> DataSpec:
    return DataSpec(load=f"cam_data:{function}", **more)


@pytest.mark.usefixtures("user_module")
def test_a_function_is_called_elsewhere_and_its_rows_are_cut() -> None:
    """Whatever it prints, imports or reads, this process is not touched by it."""
    facts = describe(load_spec("load"))
    split = search_split(load_spec("load"), facts)
    test_x, _ = final_split(load_spec("load"), facts)
    assert (facts.n_train, facts.n_validation, facts.n_test, facts.input_shape) == (12, 4, 4, (3,))
    assert sorted(np.concatenate([split.train_x, split.validation_x, test_x])[:, 0].tolist()) == X[:, 0].tolist()
    assert "cam_data" not in sys.modules


@pytest.mark.usefixtures("user_module")
def test_a_function_that_takes_a_seed_gets_the_datas() -> None:
    """For data that are drawn or generated."""
    split = search_split(load_spec("seeded", seed=100))
    assert 100 <= split.train_x.min() <= split.train_x.max() <= 159


@pytest.mark.usefixtures("user_module")
def test_workers_use_what_the_study_recorded_even_where_the_function_would_return_something_else() -> None:
    """On the machine that made the study the splits are in the cache; on another one the difference is told."""
    facts = describe(load_spec("drifting"))
    assert search_split(load_spec("drifting"), facts).sha256["train"] == facts.sha256["train"]
    other = describe(load_spec("drifting"))
    assert other.sha256["train"] != facts.sha256["train"]


@pytest.mark.usefixtures("user_module")
@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        ("raising", UserError, r"it raised FileNotFoundError: .*none.csv.* \(.*cam_data.py:20\). Correct it"),
        ("leaving", UserError, r"it raised SystemExit: no licence"),
        ("dying", Unavailable, r"ended with exit status 3 before it was done"),
        ("killed", Unavailable, r"ended with signal SIGKILL .* memory ran out"),
        ("floats", UserError, r'Set train.task = "regression"'),
        ("value", FunctionError, r"value is a int, not a function"),
    ],
)
def test_a_function_that_fails_is_told_in_one_sentence(function: str, kind: type, message: str) -> None:
    """It begins with the study file's own line, so that the file's line can be put before it."""
    with pytest.raises(UserError, match=message) as caught:
        describe(load_spec(function))
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f'data.load = "cam_data:{function}": ')


@pytest.mark.usefixtures("user_module")
def test_a_package_that_is_not_allowed_is_not_imported() -> None:
    """A worker runs users' code only from the packages that it was started with."""
    with pytest.raises(FunctionError) as caught:
        describe(load_spec("load"), allow=("other",))
    assert caught.value.reason == "not_allowed"


@pytest.mark.usefixtures("user_module")
def test_data_that_a_worker_lacks_are_the_worlds_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker may have them; the architecture is not to blame."""
    facts = describe(load_spec("elsewhere"))
    monkeypatch.setenv("NASD_CACHE", str(tmp_path / "another machine"))
    monkeypatch.setenv("CAM_MISSING", "1")
    with pytest.raises(WorldFault, match=r"it raised FileNotFoundError: cam.csv") as caught:
        search_split(load_spec("elsewhere"), facts)
    assert caught.value.kind == "data_unavailable"


@pytest.mark.usefixtures("user_module")
def test_a_function_may_bring_a_text(tmp_path: Path) -> None:
    """Through all of it, for `lm`."""
    (tmp_path / "cam_text.py").write_text("def load(): return 'to be or not to be, ' * 50")
    spec = DataSpec(load="cam_text:load", context=8)
    facts = describe(spec, Task.LM)
    assert (facts.input_shape, facts.vocabulary) == ((8,), 256)
    assert bytes(search_split(spec, facts).train_x[0].tolist()) == b"to be or"
