"""What a scarce device measures first, and how well its predictor knows what it will measure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes_trials import live_worker
from study_life import Life
from toy_study import SPACE, toy_spec, toy_study

from nasd.controller.predictor import LEAST, fit, predictor_of, predictor_quality, rank_correlation
from nasd.controller.scarce import HIGHEST, LOWEST, priorities
from nasd.controller.stages import BASELINE_PRIORITY, CHEAP_PRIORITY, EXPORT_PRIORITY
from nasd.daemon.orders import orders
from nasd.daemon.served import Served
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.pareto import non_dominated
from nasd.ports.fleet import Waiting

PI5 = DeviceKind("pi5")


@pytest.fixture(scope="module")
def waiting() -> Life:
    """Sixty trials of which pi5 has measured none."""
    life = Life(kinds=(LOCAL, PI5), trials=60, in_flight=4, use="random")
    life.go([PI5])
    while len(life.row.facts) < 56:
        life.tick()
        life.finish()
    life.tick()
    return life


def measured_first(life: Life, n: int, order: dict[int, int]) -> list[int]:
    return [number for number, _ in sorted(order.items(), key=lambda item: (-item[1], item[0]))][:n]


def test_every_trial_without_a_value_has_a_place_below_exports_and_above_trainings(waiting):
    """Order within a queue must not overtake what other queues wait for."""
    mind = waiting.rebuilt()
    order = priorities(mind, PI5)

    assert set(order) == set(range(len(mind.history)))
    assert {order[number] for number in range(3)} == {BASELINE_PRIORITY + CHEAP_PRIORITY}
    others = [priority for number, priority in order.items() if number > 2]
    assert max(others) == HIGHEST < EXPORT_PRIORITY
    assert min(others) == LOWEST > 5
    assert len(set(others)) > 20
    assert order == priorities(waiting.rebuilt(), PI5)


def test_likely_front_members_are_measured_first(waiting):
    """With little of the queue measured the front should be nearly what it will be: scarce time is for that."""
    mind = waiting.rebuilt()
    order = priorities(mind, PI5)
    numbers = [n for n in range(3, len(mind.history)) if mind.history.state(n) is State.COMPLETED]
    values = waiting.row.trials
    rows = np.array([[values[n].values["val_error"], values[n].values["params"]] for n in numbers])
    best = {n for n, keep in zip(numbers, non_dominated(rows), strict=True) if keep}
    first = measured_first(waiting, 3 + len(best), order)[3:]

    assert len(best & set(first)) >= 0.7 * len(best)


def test_what_is_measured_leaves_the_order_and_a_kind_that_measured_all_has_none():
    """Its places would be given to nothing."""
    life = Life(kinds=(LOCAL, PI5), trials=12)
    life.play_out()
    assert priorities(life.rebuilt(), PI5) == {}


def test_only_queues_longer_than_their_workers_are_put_in_order(waiting):
    """Where nobody waits there is nothing to choose; a study of this machine keeps its own order."""

    def queue(n: int, kind: DeviceKind = PI5) -> list[Waiting]:
        needs = ("torch-eager",)
        return [
            Waiting(study=waiting.study.id, study_name="toy", stage=Stage.MEASURE, device_kind=kind, needs=needs, n=n)
        ]

    board = live_worker("b", kind="pi5")
    served = Served(waiting.row.study, mind=waiting.rebuilt())
    assert not orders([served], queue(1), [board], now=0.0)
    assert not orders([served], queue(3), [board, *(replace(board, name=str(n)) for n in range(2))], now=0.0)
    found = orders([served], queue(3), [board], now=0.0)
    assert found.keys() == {(waiting.study.id, PI5)}
    assert (
        orders([served], queue(3), [], now=100.0)[waiting.study.id, PI5] is found[waiting.study.id, PI5]
    )  # nothing was learned
    alone = Served(toy_study(toy_spec()), mind=Life(trials=3).rebuilt())
    assert not orders([alone], queue(9, LOCAL), [], now=0.0)


@pytest.mark.parametrize("n", [LEAST, 40, 120])
def test_left_out_values_are_those_of_models_fitted_without_them(n):
    """The error that is shown must be that of values the model has not seen."""
    rng = np.random.default_rng(n)
    features = rng.random((n, 5))
    values = np.exp(features @ [1.0, -2.0, 0.5, 0.0, 0.0] + 0.05 * rng.standard_normal(n))
    whole = fit(features, values)
    strength = _strength_of(whole, features, values)

    for at in (0, n // 2, n - 1):
        rest = np.arange(n) != at
        rows = (features - whole.mean) / whole.scale
        x, y = rows[rest] - rows[rest].mean(axis=0), np.log(values[rest])
        weights = np.linalg.solve(x.T @ x + strength * np.eye(5), x.T @ (y - y.mean()))
        alone = np.exp(y.mean() + (rows[at] - rows[rest].mean(axis=0)) @ weights)
        assert alone == pytest.approx(whole.left_out[at], rel=1e-6)


def _strength_of(model, features, values) -> float:
    """The one whose weights are the model's."""
    rows = (features - model.mean) / model.scale
    target = np.log(values) - np.log(values).mean()
    strengths = 10.0 ** np.arange(-3.0, 5.0)
    solve = [np.linalg.solve(rows.T @ rows + s * np.eye(5), rows.T @ target) for s in strengths]
    return float(strengths[int(np.argmin([np.abs(each - model.weights).max() for each in solve]))])


def test_a_predictor_says_how_good_it_is_and_is_none_before_it_can_be():
    """Users see the error on all and on front members, from values that were left out."""
    life = Life(kinds=(LOCAL, PI5), trials=60, use="random")
    while len(life.row.facts) < LEAST - 1:
        life.tick()
        life.finish()
    assert predictor_quality(life.rebuilt(), PI5) is None
    life.play_out()
    mind = life.rebuilt()
    quality = predictor_quality(mind, LOCAL)

    assert (quality.all.n, quality.device_kind, quality.quantity) == (60, LOCAL, "latency_ms")
    assert quality.all.rank_correlation > 0.9  # the toy's latency is its parameters with a tenth of noise
    assert 0 < quality.all.mape < 0.6
    assert quality.on_front.n == len(mind.fronts[LOCAL].members)
    noisy = predictor_quality(mind, PI5)
    assert noisy.all.mape > quality.all.mape


def test_predictions_of_networks_that_were_never_measured_rank_them():
    """That is all that they are for."""
    life = Life(kinds=(LOCAL, PI5), trials=60, use="random")
    life.play_out()
    mind = life.rebuilt()
    from toy_study import toy_values

    from nasd.controller.predictor import features

    fresh = [SPACE.sample(np.random.default_rng(seed)) for seed in range(1000, 1060)]
    truth = np.array([toy_values(each, Stage.MEASURE)["latency_ms"] for each in fresh])
    predicted = predictor_of(mind, LOCAL, "latency_ms").predict(features(mind, fresh))
    assert rank_correlation(predicted, truth) > 0.85


def test_rank_correlation_shares_ranks_of_equals():
    """A device with a coarse clock measures ties."""
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 90.0])) == pytest.approx(1)
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert rank_correlation(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(0.8660254)
    assert rank_correlation(np.ones(4), np.arange(4.0)) == 0.0
