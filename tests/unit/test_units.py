"""Every quantity that nasd itself reports has its unit."""

import numpy as np
import pytest

from nasd import spaces
from nasd.domain.data import Problem
from nasd.domain.measurement import UNITS, unit_of
from nasd.domain.study import SpaceSpec


@pytest.mark.parametrize("kind", ["mlp", "cnn", "transformer"])
def test_whatever_a_space_counts_has_a_unit(kind):
    """What has none is shown as a plain count, and bytes are none."""
    space = spaces.build(SpaceSpec(kind=kind), Problem(input_shape=(1, 8, 8), n_outputs=10))
    counts = space.counts(space.sample(np.random.default_rng(0)))

    assert {name: UNITS.get(name) for name in counts} == {
        name: "bytes" if name.endswith("_bytes") else "count" for name in counts
    }


def test_a_regression_has_no_nats():
    """Its loss is the squared error in variances of the targets; the tables would claim a cross-entropy."""
    names = ("val_loss", "train_loss", "val_error", "f1")

    assert [unit_of(name, task="regression") for name in names] == ["target variances"] * 2 + ["fraction", ""]
    assert unit_of("val_loss", task="lm") == "nats"
