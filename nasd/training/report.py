"""What a finished training says of itself, with spreads and conditions."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nasd.domain.measurement import UNITS, JsonObject, Measurement
from nasd.errors import CandidateFault


@dataclass(frozen=True, slots=True)
class Validation:
    """One pass over the validation split; `loss` and its deviation over samples in nats."""

    n: int
    n_wrong: int
    loss: float
    loss_deviation: float


def measurements(
    train_losses: Sequence[float], validation: Validation, conditions: JsonObject
) -> tuple[Measurement, ...]:
    """`val_error`, `val_loss` and `train_loss`.

    The spread of the first two is the standard error over the validation samples (binomial for the error); that of
    `train_loss`, the mean over the last epoch's steps with dropout active, is the deviation between steps.

    Raises:
        CandidateFault: `diverged`, the validation loss is not finite.
    """
    if not math.isfinite(validation.loss):
        raise CandidateFault("diverged", f"the validation loss is {validation.loss} after the last step")
    error = validation.n_wrong / validation.n
    root = math.sqrt(validation.n)
    return (
        _measurement("val_error", error, math.sqrt(error * (1 - error)) / root, validation.n, conditions),
        _measurement("val_loss", validation.loss, validation.loss_deviation / root, validation.n, conditions),
        _measurement(
            "train_loss",
            statistics.fmean(train_losses),
            statistics.pstdev(train_losses) if len(train_losses) > 1 else None,
            len(train_losses),
            conditions,
        ),
    )


def _measurement(name: str, value: float, spread: float | None, n: int, conditions: JsonObject) -> Measurement:
    return Measurement(name=name, value=value, unit=UNITS[name], spread=spread, n=n, conditions=conditions)
