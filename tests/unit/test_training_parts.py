"""The parts of the training loop that can be judged without training."""

import math

import pytest
import torch
from torch.nn import functional

from nasd.domain.architecture import Architecture
from nasd.errors import CandidateFault
from nasd.nets import build_module
from nasd.training.adamw import AdamW
from nasd.training.losses import LossWatch
from nasd.training.report import Validation, measurements
from nasd.training.schedule import learning_rate

GENES = {"layers": 2, "widths": (16, 32), "activation": "gelu", "norm": "batchnorm", "dropout": 0.0}


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


def test_our_adamw_is_torchs_bit_for_bit() -> None:
    """It exists for its imports and its speed; its numbers are torch's, so that recipes mean the same."""
    torch.set_num_threads(1)
    x, y = torch.randn((16, 8), generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3

    def weights(*, ours: bool) -> list[torch.Tensor]:
        architecture = Architecture.of("mlp", GENES)
        module = build_module(architecture, input_shape=(8,), n_outputs=3, seed=1)
        matrices = [p for p in module.parameters() if p.ndim > 1]
        vectors = [p for p in module.parameters() if p.ndim <= 1]
        groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        theirs = torch.optim.AdamW(groups, weight_decay=0.05, fused=True)
        mine = AdamW(module.parameters(), weight_decay=0.05)
        for step in range(20):
            rate = 0.01 / (step + 1)
            functional.cross_entropy(module(x), y).backward()
            if ours:
                mine.step(rate)
            else:
                for group in theirs.param_groups:
                    group["lr"] = rate
                theirs.step()
                theirs.zero_grad()
        return list(module.parameters())

    assert all(torch.equal(a, b) for a, b in zip(weights(ours=True), weights(ours=False), strict=True))


@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_names_its_step(every: int, value: float) -> None:
    """Whether each step is read or fifty at once, the sentence says where it happened."""
    watch = LossWatch(n_classes=10, keep=5, every=every)

    def steps() -> None:
        for loss in (2.0, 1.0, 0.5, value, 0.1):
            watch.add(torch.tensor(loss))
        watch.close()

    with pytest.raises(CandidateFault, match=f"became {value} at step 3") as caught:
        steps()
    assert (caught.value.kind, caught.value.violation) == ("diverged", None)


def test_a_training_that_ends_far_above_knowing_nothing_has_diverged() -> None:
    """Finite and useless: its error would be read as a property of the architecture."""
    watch = LossWatch(n_classes=10, keep=2, every=1)
    for loss in (2.0, 500.0, 400.0):
        watch.add(torch.tensor(loss))
    with pytest.raises(CandidateFault, match="ended at 450 after 3 steps"):
        watch.close()


def test_only_the_last_losses_are_kept_in_order() -> None:
    """`train_loss` is that of the last epoch; a spike in warm-up is nobody's business."""
    watch = LossWatch(n_classes=10, keep=3, every=2)
    for loss in (900.0, 4.0, 3.0, 2.0, 1.0):
        watch.add(torch.tensor(loss))
    assert watch.close() == (3.0, 2.0, 1.0)


def test_errors_carry_their_standard_error() -> None:
    """Differences are judged against it: 36 wrong of 360 is 0.1 with sqrt(0.1 * 0.9 / 360)."""
    found = measurements((1.0, 3.0), Validation(n=360, n_wrong=36, loss=0.5, loss_deviation=1.2), {"seed": 1})
    error, loss, train = found
    assert (error.value, error.unit, error.n) == (0.1, "fraction", 360)
    assert error.spread == pytest.approx(math.sqrt(0.1 * 0.9 / 360))
    assert (loss.value, loss.n) == (0.5, 360)
    assert loss.spread == pytest.approx(1.2 / math.sqrt(360))
    assert (train.value, train.spread, train.n) == (2.0, 1.0, 2)


def test_a_validation_loss_that_is_not_finite_has_diverged() -> None:
    """No sentinel is stored for it."""
    with pytest.raises(CandidateFault, match="validation loss"):
        measurements((1.0,), Validation(n=2, n_wrong=1, loss=math.inf, loss_deviation=0.0), {})
