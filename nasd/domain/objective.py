"""Objectives and limits: what a study minimises and what it forbids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from nasd.domain.ids import LOCAL, DeviceKind


class Source(StrEnum):
    """Where an objective's value comes from."""

    COUNTED = "counted"  # exact, before anything is queued
    TRAINED = "trained"
    MEASURED = "measured"  # on a device kind
    REPORTED = "reported"  # by the user's own evaluation


SOURCES: Mapping[str, Source] = {
    "val_error": Source.TRAINED,
    "val_loss": Source.TRAINED,
    "params": Source.COUNTED,
    "flops": Source.COUNTED,
    "latency_ms": Source.MEASURED,
    "peak_memory_bytes": Source.MEASURED,
    "energy_mj": Source.MEASURED,
}
P95 = "latency_p95_ms"  # of a sustained run: what a limit with statistic = "p95" speaks of; no objective
# the ends of the interval in which it lies: they decide whether the limit is kept
P95_LOW, P95_HIGH = "latency_p95_low_ms", "latency_p95_high_ms"
OF_A_DEVICE = frozenset(
    {P95, P95_LOW, P95_HIGH, *(name for name, source in SOURCES.items() if source is Source.MEASURED)}
)


def value_name(name: str, kind: DeviceKind | None) -> str:
    """The key of a quantity among a trial's values: plain, or `latency_ms@pi5` on a kind other than this machine.

    The same rule is in the database (`nasd_core.value_name`); it must not depend on how many kinds a study has, since
    devices join later.
    """
    return name if kind is None or kind == LOCAL or name not in OF_A_DEVICE else f"{name}@{kind}"


@dataclass(frozen=True, slots=True)
class Objective:
    """One column of the loss matrix.

    Attributes:
        sign: +1 minimised, -1 maximised; loss = sign * value.
        device: the kind it is measured on; None where it does not depend on a device.
        is_log: spans decades (counts, latency): distances are taken on its logarithm.
    """

    name: str
    unit: str
    source: Source
    sign: int = 1
    device: DeviceKind | None = None
    is_log: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """A hard limit on one quantity: `of` <= `maximum` (and >= `minimum`), else the trial is infeasible."""

    of: str
    maximum: float | None = None
    minimum: float | None = None
    device: DeviceKind | None = None


def violation(limits: Sequence[Limit], values: Mapping[str, float]) -> float:
    """Summed relative overshoot of the limits that `values` breaks; 0.0 when none is broken.

    A quantity that is not known yet breaks nothing.
    """
    total = 0.0
    for limit in limits:
        value = values.get(limit.of)
        if value is None:
            continue
        if limit.maximum is not None and value > limit.maximum:
            total += (value - limit.maximum) / max(abs(limit.maximum), 1e-12)
        if limit.minimum is not None and value < limit.minimum:
            total += (limit.minimum - value) / max(abs(limit.minimum), 1e-12)
    return total
