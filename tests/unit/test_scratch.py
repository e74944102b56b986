"""Checkpoints of users' evaluations: what was saved comes back, whole, for the same evaluation alone."""

import numpy as np
import pytest
import torch

from workers.scratch import Scratch


def scratch(folder, *key) -> Scratch:
    return Scratch(folder, lambda: key)


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\x00any bytes",
        {},
        {"step": 3, "names": ["a", None], "nested": {"lr": 0.1}},
        {"file": np.arange(6.0).reshape(2, 3), "allow_pickle": np.int64([1]), "step": 1},
        {"weights": torch.arange(4, dtype=torch.bfloat16), "mean": np.float32([0.5]), "step": 2},
    ],
    ids=["nothing", "bytes", "empty", "plain", "arrays", "tensors"],
)
def test_what_was_saved_comes_back(tmp_path, state):
    """Also names that numpy's own arguments have, and types that numpy lacks."""
    scratch(tmp_path / "new", 1, "seed").save(state)

    found = scratch(tmp_path / "new", 1, "seed").load()

    assert type(found) is type(state)
    if isinstance(state, bytes):
        assert found == state
        return
    assert found.keys() == state.keys()
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(found[name], value)
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(np.asarray(found[name]), value)
        else:
            assert found[name] == value


def test_it_belongs_to_one_evaluation_and_ends_with_it(tmp_path):
    """Another seed or another recipe must not begin in the middle."""
    one = scratch(tmp_path, 1, 2)
    one.save({"step": 1})
    one.save(b"later, in another form")

    assert scratch(tmp_path, 1, 3).load() is None
    assert scratch(tmp_path, 1, 2).load() == b"later, in another form"
    one.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [0, 5, 50])
@pytest.mark.parametrize("weights", [np.ones(100), torch.ones(100)], ids=["arrays", "tensors"])
def test_half_a_file_is_no_checkpoint(tmp_path, weights, left):
    """A machine that lost power must not keep the evaluation from beginning anew, nor blame its architecture."""
    one = scratch(tmp_path, 1)
    one.save({"weights": weights})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:left])

    assert one.load() is None


@pytest.mark.parametrize("state", [None, 3, {"f": len}, {"o": np.array([object()])}])
def test_what_would_need_pickle_is_refused(tmp_path, state):
    """A checkpoint is data; reading one must never run code."""
    with pytest.raises(TypeError, match="checkpoint"):
        scratch(tmp_path, 1).save(state)
