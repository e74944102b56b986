"""Measured limits, where they end a trial: before it is trained, on the device that saw them broken."""

from __future__ import annotations

from collections.abc import Sequence

from nasd.domain.ids import DeviceKind
from nasd.domain.measurement import Measurement
from nasd.domain.objective import OF_A_DEVICE, P95, Limit, violation
from nasd.domain.study import StudySpec
from nasd.errors import CandidateFault


class OverLimit(CandidateFault):
    """A trial that breaks a measured limit.

    Attributes:
        measurements: what was observed of it, for the record.
    """

    def __init__(self, message: str, *, violation: float, measurements: tuple[Measurement, ...]) -> None:
        super().__init__("over_limit", message, violation=violation)
        self.measurements = measurements


def refuse_over_limit(spec: StudySpec, kind: DeviceKind, measured: Sequence[Measurement]) -> None:
    """End a trial that breaks a limit of scope "trial"; a p95 breaks one where its whole interval lies above it.

    Raises:
        OverLimit: with what was measured.
    """
    values = {one.name: _decisive(one) for one in measured}
    limits = [limit for limit in spec.limits_of_trials(kind) if limit.of in OF_A_DEVICE and limit.of in values]
    overshoot = violation(limits, values)
    if overshoot > 0:
        broken = [limit for limit in limits if violation([limit], values) > 0]
        shown = "; ".join(_sentence(limit, values[limit.of]) for limit in broken)
        raise OverLimit(f"{shown} on {kind}; not trained", violation=overshoot, measurements=tuple(measured))


def _decisive(one: Measurement) -> float:
    low = one.conditions.get("low") if one.name == P95 else None
    return float(low) if isinstance(low, int | float) else one.value


def _sentence(limit: Limit, value: float) -> str:
    over = limit.maximum is not None and value > limit.maximum
    word, bound = ("over", limit.maximum) if over else ("under", limit.minimum)
    return f"{limit.of} = {value:.4g} is {word} its limit of {bound:g}"
