"""The parts of the training loop that can be judged without training."""

import math

import pytest
import torch

from nasd.domain.data import Task
from nasd.errors import CandidateFault
from nasd.training.losses import LossWatch
from nasd.training.metric import Metric
from nasd.training.report import measurements
from nasd.training.schedule import learning_rate
from nasd.training.validation import Validation

VALIDATION = Validation(n=360, error=0.1, error_deviation=0.3, loss=0.5, loss_deviation=1.2)


def test_the_rate_rises_to_its_peak_and_falls_over_exactly_the_steps() -> None:
    """A schedule that outlives the training would leave it at a high rate."""
    rates = [learning_rate(step, 100, peak=1.0, warmup=0.1) for step in range(100)]
    assert rates[9] == rates[10] == max(rates) == 1.0
    assert rates[0] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.001
    assert learning_rate(100, 100, peak=1.0, warmup=0.1) == pytest.approx(0)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 0.9), (2, 0.9), (3, 0.99)])
def test_short_schedules_have_a_positive_rate_at_every_step(steps: int, warmup: float) -> None:
    """Rounding must not divide by zero or waste the only step."""
    assert all(0 < learning_rate(i, steps, peak=1.0, warmup=warmup) <= 1 for i in range(steps))


@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_its_step(every: int, value: float) -> None:
    """Whether each step is read or fifty at once, the sentence says where it happened."""
    watch = LossWatch(trivial_loss=2.3, keep=5, every=every)

    def steps() -> None:
        for loss in (2.0, 1.0, 0.5, value, 0.1):
            watch.add(torch.tensor(loss))
        watch.close()

    with pytest.raises(CandidateFault, match=f"became {value} at step 3") as caught:
        steps()
    assert (caught.value.kind, caught.value.violation) == ("diverged", None)


def test_a_training_that_ends_far_above_knowing_nothing_has_diverged() -> None:
    """Finite and useless: its error would be read as a property of the architecture."""
    watch = LossWatch(trivial_loss=2.3, keep=2, every=1)
    for loss in (2.0, 500.0, 400.0):
        watch.add(torch.tensor(loss))
    with pytest.raises(CandidateFault, match="ended at 450 after 3 steps; the limit is 23"):
        watch.close()


def test_only_the_last_losses_are_kept_in_order() -> None:
    """`train_loss` is that of the last epoch; a spike in warm-up is nobody's business."""
    watch = LossWatch(trivial_loss=2.3, keep=3, every=2)
    for loss in (900.0, 4.0, 3.0, 2.0, 1.0):
        watch.add(torch.tensor(loss))
    assert watch.close() == (3.0, 2.0, 1.0)


def test_a_watch_goes_on_where_another_was_left() -> None:
    """A resumed training reports the same `train_loss` and the same step numbers."""
    first, second = (LossWatch(trivial_loss=2.3, keep=3, every=50) for _ in range(2))
    for loss in (4.0, 3.0, 2.0):
        first.add(torch.tensor(loss))
    second.restore(first.state(), n_steps=3)
    second.add(torch.tensor(1.0))
    assert second.close() == (3.0, 2.0, 1.0)
    second.add(torch.tensor(math.nan))
    with pytest.raises(CandidateFault, match="at step 4"):
        second.close()


def test_values_carry_their_standard_error() -> None:
    """Differences are judged against it: 36 wrong of 360 is 0.1 with sqrt(0.1 * 0.9 / 360)."""
    error, loss, train = measurements((1.0, 3.0), VALIDATION, {"seed": 1})
    assert (error.value, error.unit, error.n) == (0.1, "fraction", 360)
    assert error.spread == pytest.approx(math.sqrt(0.1 * 0.9 / 360))
    assert (loss.value, loss.unit, loss.n) == (0.5, "nats", 360)
    assert loss.spread == pytest.approx(1.2 / math.sqrt(360))
    assert (train.value, train.spread, train.n) == (2.0, 1.0, 2)


def test_a_squared_error_is_not_told_in_nats() -> None:
    """A unit that is wrong is worse than none."""
    units = [m.unit for m in measurements((1.0,), VALIDATION, {}, task=Task.REGRESSION)]
    assert units == ["fraction", "target variances", "target variances"]


def test_a_long_curve_is_thinned_evenly_and_ends_with_the_newest() -> None:
    """Every row is kept for ever: a validation at each step must not bloat the database."""
    curve = [(step, {"val_error": 1 / step}) for step in range(1, 1001)]
    error, loss, _ = measurements((1.0,), VALIDATION, {"seed": 1}, curve=curve)
    steps = [point["step"] for point in error.conditions["curve"]]  # type: ignore[attr-defined]
    assert steps == list(range(20, 1001, 20))
    assert loss.conditions == {"seed": 1}


def test_a_validation_loss_that_is_not_finite_has_diverged() -> None:
    """No sentinel is stored for it."""
    with pytest.raises(CandidateFault, match="validation loss"):
        measurements((1.0,), VALIDATION._replace(loss=math.inf), {})


def test_a_metric_names_its_values() -> None:
    """One number goes by the function's name, several by their own."""
    assert Metric("f1", lambda p, t: torch.tensor(0.5))(None, None) == {"f1": 0.5}  # type: ignore[arg-type, return-value]
    assert Metric("f1", lambda p, t: {"macro": 1, "micro": 2.0})(None, None) == {"macro": 1.0, "micro": 2.0}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("returned", "kind", "message"),
    [
        (math.nan, "not_finite", "train.metric: f1 returned f1 = nan: must be finite"),
        ("high", "bad_result", "train.metric: f1 returned f1 = 'high': must be a number"),
        (torch.ones(2), "bad_result", "must be a number"),
        ({"val_error": 0.1}, "bad_result", "val_error, which nasd measures itself"),
        ({"a\x00b": 0.1}, "bad_result", r"returned 'a\\x00b': a value's name is 1 to 63 printable characters"),
        (dict.fromkeys(range(257), 0.1), "bad_result", "returned 257 values; 256 are kept"),
    ],
)
def test_a_metric_that_is_no_number_is_refused_with_a_reason(returned: object, kind: str, message: str) -> None:
    """It would be stored, ranked and never understood."""
    with pytest.raises(CandidateFault, match=message) as caught:
        Metric("f1", lambda p, t: returned)(None, None)  # type: ignore[arg-type, return-value]
    assert caught.value.kind == kind


def test_a_metric_that_raises_ends_the_trial_with_its_words() -> None:
    """Even where it leaves the interpreter."""

    def leave(predictions: object, targets: object) -> float:
        raise SystemExit("no")

    with pytest.raises(CandidateFault, match="leave raised SystemExit: no"):
        Metric("leave", leave)(None, None)  # type: ignore[arg-type]
