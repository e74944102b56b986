"""The mathematics of the screen: boxes, expected improvement and the posterior, against brute force."""

from __future__ import annotations

from functools import partial

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasd.strategies.screening.gaussian import GaussianProcess, Kernel, Mixture, _surprise, rank_correlation
from nasd.strategies.screening.improvement import (
    expected_improvement,
    log_normal_shortfall,
    normal_shortfall,
    open_boxes,
    thinned,
)


def fronts(m: int, *, most: int = 8) -> st.SearchStrategy[np.ndarray]:
    """(n, m) points, ties and duplicates likely."""
    point = st.lists(st.integers(0, 12), min_size=m, max_size=m)
    return st.lists(point, min_size=0, max_size=most).map(lambda rows: np.array(rows, dtype=float).reshape(-1, m) / 12)


def volume(points: np.ndarray, reference: np.ndarray) -> float:
    inside = points[(points < reference).all(axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def known(values: np.ndarray):
    """The shortfall of values without spread."""
    return lambda edges: np.maximum(edges[None] - values[:, None], 0.0)


@given(st.data(), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_improvement_of_a_known_point_is_the_hypervolume_it_adds(data, m):
    """Without spread the expectation is the plain difference of two hypervolumes, whatever the number of objectives."""
    front, candidates = data.draw(fronts(m)), data.draw(fronts(m, most=4))
    reference = np.ones(m)
    if len(candidates) == 0:
        return
    boxes = open_boxes(thinned(front, reference), reference)
    gains = expected_improvement(boxes, [known(column) for column in candidates.T])

    expected = [volume(np.vstack([front, each[None]]), reference) - volume(front, reference) for each in candidates]
    assert gains == pytest.approx(expected, abs=1e-9)


@given(fronts(3))
@settings(max_examples=60, deadline=None)
def test_boxes_are_disjoint_and_fill_what_is_not_dominated(front):
    """Counted twice or left out, a box would draw the search to where there is nothing, or away from something."""
    reference = np.ones(3)
    lower, upper = open_boxes(thinned(front, reference), reference)
    points = np.random.default_rng(0).random((200, 3)) * 1.2 - 0.2
    inside = ((points[:, None] >= lower) & (points[:, None] < upper)).all(axis=2).sum(axis=1)
    below = (points < reference).all(axis=1)
    dominated = np.array([(front <= point).all(axis=1).any() for point in points], dtype=bool)

    assert (inside == (below & ~dominated)).all()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_expected_improvement_is_the_mean_over_what_may_come(m):
    """Against 40,000 draws of an uncertain first objective, the others known."""
    rng = np.random.default_rng(m)
    front, reference = rng.random((6, m)), np.ones(m)
    boxes = open_boxes(thinned(front, reference), reference)
    means, spread = rng.random((3, m)), np.array([0.05, 0.2, 0.4])
    uncertain = partial(normal_shortfall, mean=means[:, 0], spread=spread)
    gains = expected_improvement(boxes, [uncertain, *[known(column) for column in means.T[1:]]])
    for row in range(3):
        draws = np.repeat(means[row][None], 40_000, axis=0)
        draws[:, 0] += spread[row] * rng.standard_normal(len(draws))
        drawn = expected_improvement(boxes, [known(column) for column in draws.T])
        assert gains[row] == pytest.approx(drawn.mean(), abs=5 * drawn.std() / 200 + 1e-6)


def test_log_normal_shortfall_is_the_mean_over_what_may_come():
    """Errors are modelled by their logarithms and counted as they are."""
    mean, spread, edges = np.array([-2.0, -1.0]), np.array([0.3, 0.8]), np.array([-0.1, 0.0, 0.05, 0.2, 1.0])
    drawn = np.exp(mean + spread * np.random.default_rng(0).standard_normal((100_000, 2)))
    expected = np.maximum(edges[None, None] - drawn[:, :, None], 0.0).mean(axis=0)

    assert log_normal_shortfall(edges, mean, spread) == pytest.approx(expected, abs=2e-3)


def test_gradient_of_the_likelihood_is_its_derivative():
    """A wrong gradient still finds some hyperparameters, only worse ones, and nobody would notice."""
    rng = np.random.default_rng(0)
    kernel = Kernel(((0, 1, 2), (2, 3)))
    rows, targets = rng.random((15, 4)), rng.standard_normal(15)
    for _ in range(5):
        theta = kernel.prior()[0] + 0.5 * rng.standard_normal(kernel.n_hyperparameters)
        step = 1e-5 * np.eye(len(theta))
        slopes = [
            (_surprise(theta + each, kernel, rows, targets)[0] - _surprise(theta - each, kernel, rows, targets)[0])
            / 2e-5
            for each in step
        ]
        assert _surprise(theta, kernel, rows, targets)[1] == pytest.approx(slopes, abs=1e-5)


def test_left_out_predictions_are_those_of_a_model_without_the_row():
    """The closed form decides whether the screen is trusted."""
    rng = np.random.default_rng(1)
    kernel = Kernel(((0, 1), (2,)))
    rows = rng.random((12, 3))
    targets = np.sin(3 * rows[:, 0]) + rows[:, 2]
    targets = (targets - targets.mean()) / targets.std()
    whole = GaussianProcess(kernel, rows, targets)
    for row in (0, 5, 11):
        others = np.arange(12) != row
        prior_mean = targets[others].mean()
        fewer = GaussianProcess(kernel, rows[others], targets[others], theta=whole.theta)
        # a model standardises what it is shown; 12 or 11 rows differ a little in mean and deviation
        assert fewer.predict(rows[[row]])[0][0] == pytest.approx(whole.left_out()[row], abs=0.15 + abs(prior_mean))


def test_posterior_goes_through_what_it_has_seen_and_is_unsure_elsewhere():
    """Without noise in the data the fit is close at its rows; far away the spread is that of the targets."""
    rows = np.linspace(0, 1, 20)[:, None]
    targets = np.cos(5 * rows[:, 0])
    model = GaussianProcess(Kernel(((0,),)), rows, targets)

    assert model.predict(rows)[0] == pytest.approx(targets, abs=0.05)
    assert model.predict(np.array([[40.0]]))[1][0] > 5 * model.predict(rows)[1].max()


def test_mixture_follows_the_member_that_explains_the_data():
    """The kernel that reads the column that matters must have the say."""
    rng = np.random.default_rng(2)
    rows = rng.random((40, 2))
    targets = np.sin(6 * rows[:, 0])
    right, wrong = (GaussianProcess(Kernel(((column,),)), rows, targets) for column in (0, 1))

    assert Mixture([right, wrong]).predict(rows)[0] == pytest.approx(right.predict(rows)[0], abs=1e-6)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_rank_correlation_is_kendalls(values, random):
    """Tau-b, as scipy has it; 0 where scipy has none."""
    from scipy.stats import kendalltau

    one = np.array(values, dtype=float)
    other = np.array(random.sample(values, len(values)), dtype=float)
    expected = kendalltau(one, other).statistic

    assert rank_correlation(one, other) == pytest.approx(0.0 if np.isnan(expected) else expected, abs=1e-12)
