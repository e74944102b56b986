"""The scoring box: fixed units, a hypervolume between 0 and 1, and exact JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_space import OBJECTIVES, ToySpace

from nasd.domain.extremes import count_extremes
from nasd.domain.scoring import (
    OBSERVED_AFTER,
    REFERENCE,
    ScoringBox,
    box_for,
    hypervolume,
    observed_bounds,
    on_scale,
)

BOX = box_for(
    OBJECTIVES,
    error_worst=0.9,
    count_extremes={"params": (100, 1_000_000)},
    baseline_extremes={"latency_ms": (0.5, 2.0)},
    bounds={"score": (1.0, 0.0)},
)
LOSSES = st.lists(
    st.tuples(st.floats(0, 1), st.floats(1, 1e7), st.floats(1e-3, 100), st.floats(-1.5, 0.5)), max_size=20
).map(lambda rows: np.array(rows).reshape(-1, 4))


def test_bounds_come_from_the_documented_sources():
    """Users compare hypervolumes between studies only because these are fixed."""
    assert BOX.best == (0.0, 100.0, 0.5 / 16, 1.0)
    assert BOX.worst == (0.9, 1_000_000.0, 8.0, 0.0)


def test_bounds_map_to_0_and_1_and_the_scale_is_logarithmic_where_it_should_be():
    """Half way between 100 and 1,000,000 parameters is 10,000."""
    ends = BOX.normalise([[0.0, 100, 0.5 / 16, -1.0], [0.9, 1e6, 8.0, 0.0], [0.45, 1e4, 0.5, -0.5]])

    np.testing.assert_allclose([[0] * 4, [1] * 4, [0.5] * 4], ends, atol=1e-12)


@given(LOSSES)
def test_hypervolume_is_a_fraction_that_more_rows_never_lower(losses):
    """A front's score may only rise while nothing is revised."""
    whole = hypervolume(BOX, losses)

    assert 0.0 <= whole <= 1.0
    assert hypervolume(BOX, losses[:-1]) <= whole + 1e-12
    assert hypervolume(BOX, losses[::-1]) == pytest.approx(whole, abs=1e-12)


@given(LOSSES)
def test_hypervolume_is_the_share_of_random_points_that_a_row_dominates(losses):
    """An independent oracle: Monte Carlo over the box."""
    points = np.random.default_rng(0).random((2000, 4)) * REFERENCE
    normal = BOX.normalise(losses)
    share = np.mean((normal[None] <= points[:, None]).all(axis=2).any(axis=1)) if len(losses) else 0.0

    assert hypervolume(BOX, losses) == pytest.approx(share, abs=0.06)


@given(LOSSES)
def test_json_brings_back_the_same_box(losses):
    """It is stored with the study; a rounded bound would shift every later score."""
    again = ScoringBox.from_json(json.loads(json.dumps(BOX.to_json())))

    assert again == BOX
    assert hypervolume(again, losses) == hypervolume(BOX, losses)


def test_unknown_and_hopeless_rows_add_nothing():
    """NaN is not a value, and what is at the reference dominates no volume."""
    good, unknown = [0.1, 1000, 1.0, -0.9], [np.nan, 100, 0.1, -1.0]
    hopeless = [1.0, 100, 0.1, -1.0]  # normalised error above 1.05

    assert hypervolume(BOX, [good, unknown, hopeless]) == hypervolume(BOX, [good])
    assert hypervolume(BOX, np.empty((0, 4))) == 0.0
    assert hypervolume(BOX, [[0.0, 1, 1e-3, -2.0]]) == 1.0


def test_box_waits_for_bounds_that_are_not_known_yet():
    """Latency has no bounds before the baselines were measured; a guess would be frozen for ever."""
    assert box_for(OBJECTIVES, error_worst=0.9, count_extremes={"params": (1, 2)}, bounds={"score": (1, 0)}) is None
    assert box_for(OBJECTIVES[:2], error_worst=0.9) is None
    assert box_for(OBJECTIVES[:2], error_worst=0.9, count_extremes={"params": (1, 2)}) is not None


def test_bounds_against_the_direction_are_refused():
    """A best = 0, worst = 1 for a maximised score would turn the search's report upside down."""
    with pytest.raises(ValueError, match="score"):
        box_for(OBJECTIVES[3:], bounds={"score": (0.0, 1.0)})


@given(st.lists(st.floats(0.01, 100), min_size=OBSERVED_AFTER, max_size=40), st.sampled_from(OBJECTIVES))
def test_observed_bounds_make_a_box_that_holds_what_was_seen(values, objective):
    """A user's own quantity without bounds gets them from the first results, and later ones change nothing."""
    bounds = observed_bounds(values, objective)
    box = box_for([objective], bounds={objective.name: bounds})
    seen = box.normalise(objective.sign * np.array(values[:OBSERVED_AFTER])[:, None])

    assert ((seen >= 0) & (seen <= 1 + 1e-9)).all()
    assert bounds == observed_bounds(values[:OBSERVED_AFTER], objective)
    assert observed_bounds(values[: OBSERVED_AFTER - 1], objective) is None


@given(st.lists(st.tuples(st.floats(0.01, 1e3), st.floats(0.01, 1e3)), min_size=2, max_size=10))
def test_scale_never_changes_an_order(pairs):
    """Dominance on losses and on the logarithmic scale must agree, for maximised quantities too."""
    maximised = [OBJECTIVES[1], *(_flipped(OBJECTIVES[2]),)]
    losses = np.array(pairs) * [1, -1]
    scaled = on_scale(losses, maximised)

    for column in range(2):
        order = np.argsort(losses[:, column], kind="stable")
        assert (np.diff(scaled[order, column]) >= 0).all()


def _flipped(objective):
    return type(objective)(name=objective.name, unit="", source=objective.source, sign=-1, is_log=True)


def test_count_extremes_reach_the_ends_of_a_space_and_repeat():
    """Bounds that moved with the sample would make hypervolumes of two studies incomparable."""
    space = ToySpace()
    smallest = space.canonical({"kind": "conv", "width": [8], "kernel": [1], "groups": 4})
    largest = space.canonical({"kind": "conv", "width": [128] * 5, "kernel": [5] * 5, "groups": 1, "skip": True})
    found = count_extremes(space, n_samples=300)

    assert found["params"] == (space.counts(smallest)["params"], space.counts(largest)["params"])
    assert count_extremes(space, n_samples=300) == found


def test_space_that_knows_its_extremes_is_asked():
    """Exact ends beat searched ones."""

    class Exact(ToySpace):
        def extremes(self):
            return {"params": (1, 9)}

    assert count_extremes(Exact()) == {"params": (1.0, 9.0)}
