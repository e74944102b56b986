"""What a study file's tables say of each other that only the data tell: refused before anything starts."""

from pathlib import Path

import numpy as np
import pytest

from nasd.app.prepared import prepare
from nasd.errors import UserError

STUDY = """
[data]
files = "a.npz"
[train]
steps = 10
{train}
[space.params]
{params}
[objectives]
val_error = {{}}
[budget]
trials = 6
"""


@pytest.mark.parametrize(
    ("train", "params", "sentence"),
    [
        ("flip = true", "", r"s\.toml:6: train\.flip = true: is for signals and images, not features"),
        ("", 'crop = { choice = [0, 2], role = "recipe" }', r"s\.toml:8: space\.params\.crop: is for signals"),
    ],
)
def test_an_augmentation_that_the_data_can_not_have_is_told_at_once(
    tmp_path: Path, train: str, params: str, sentence: str
) -> None:
    """Each training would refuse it: a dozen failed trials where one sentence does."""
    np.savez(tmp_path / "a.npz", x=np.eye(20, 5, dtype=np.float32), y=np.arange(20) % 2)
    path = tmp_path / "s.toml"
    path.write_text(STUDY.format(train=train, params=params))

    with pytest.raises(UserError, match=sentence):
        prepare(path)

    path.write_text(STUDY.format(train="noise = 0.1", params=""))
    assert prepare(path).facts.input_shape == (5,)
