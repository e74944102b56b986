"""What a finished training says of itself, with spreads and conditions."""

import math
import statistics
from collections.abc import Mapping, Sequence

from nasd.domain.data import Task
from nasd.domain.measurement import UNITS, JsonObject, Measurement, unit_of
from nasd.errors import CandidateFault
from nasd.training.validation import Validation

Curve = Sequence[tuple[int, Mapping[str, float]]]  # values by name after so many steps
_LONGEST_CURVE = 50  # points that a row keeps


def measurements(
    train_losses: Sequence[float],
    validation: Validation,
    conditions: JsonObject,
    *,
    task: Task = Task.CLASSIFICATION,
    units: Mapping[str, str] | None = None,
    curve: Curve = (),
) -> tuple[Measurement, ...]:
    """`val_error`, `val_loss`, `train_loss` and the user's own metrics.

    The spread of the first two is the standard error over the validation samples; that of `train_loss`, the mean over
    the last steps with dropout and augmentation active, is the deviation between steps.

    Args:
        train_losses: of the last steps.
        validation: after the last step.
        conditions: of all of them.
        task: decides the losses' unit.
        units: of the user's own metrics, as far as the study file names them.
        curve: earlier validations by step; kept in the conditions of `val_error`, fifty at most, evenly.

    Raises:
        CandidateFault: `diverged`, the validation loss is not finite.
    """
    if not math.isfinite(validation.loss) or not math.isfinite(validation.error):
        raise CandidateFault("diverged", f"the validation loss is {validation.loss} after the last step")
    root = math.sqrt(validation.n)
    seen = {"curve": _thinned(curve)} if curve else {}
    unit = unit_of("val_loss", task=task)
    return (
        Measurement(
            "val_error",
            validation.error,
            UNITS["val_error"],
            validation.error_deviation / root,
            validation.n,
            {**conditions, **seen},
        ),
        Measurement("val_loss", validation.loss, unit, validation.loss_deviation / root, validation.n, conditions),
        Measurement(
            "train_loss",
            statistics.fmean(train_losses),
            unit,
            statistics.pstdev(train_losses) if len(train_losses) > 1 else None,
            len(train_losses),
            conditions,
        ),
        *(
            Measurement(name, value, (units or {}).get(name, ""), None, validation.n, conditions)
            for name, value in validation.metrics.items()
        ),
    )


def _thinned(curve: Curve) -> list[dict[str, float]]:
    every = -(-len(curve) // _LONGEST_CURVE)
    kept = curve[len(curve) - 1 :: -every][::-1]  # with the newest
    return [{"step": step, **values} for step, values in kept]
