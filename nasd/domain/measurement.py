"""What a device observed, and what an attempt at an evaluation came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from nasd.domain.artifact import ArtifactRef

JsonObject = Mapping[str, object]


class Stage(StrEnum):
    """The kind of work an evaluation is."""

    TRAIN = "train"
    MEASURE = "measure"
    RUN = "run"  # the user's own evaluation function
    EXPORT = "export"  # makes the files that device kinds without torch run


UNITS: Mapping[str, str] = {
    "val_error": "fraction",
    "val_loss": "nats",
    "train_loss": "nats",
    "params": "count",
    "flops": "count",
    "active_params": "count",
    "activation_bytes": "bytes",
    "latency_ms": "ms",
    "peak_memory_bytes": "bytes",
    "energy_mj": "mJ",
    "latency_p95_ms": "ms",
}


MOST_OWN_VALUES = 256  # that one call of a user's function may return
LONGEST_NAME = 63  # of a quantity of the user's own


def is_name(text: str) -> bool:
    """Whether a quantity may be called `text`: what a database stores and a table shows."""
    return 0 < len(text) <= LONGEST_NAME and text.isprintable()


_UNITS_OF_REGRESSION: Mapping[str, str] = {"val_loss": "target variances", "train_loss": "target variances"}


def unit_of(name: str, *, task: str) -> str:
    """The unit of a quantity that nasd itself reports; empty for one of the user's own.

    Args:
        task: `train.task`; a regression has no cross-entropy.
    """
    own = _UNITS_OF_REGRESSION if task == "regression" else {}
    return own.get(name) or UNITS.get(name, "")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One observed quantity.

    Attributes:
        value: finite; what could not be observed has no measurement, never a stand-in.
        spread: standard deviation or, for latency, the interquartile range over windows; None for n = 1.
        n: how many observations `value` summarises.
        conditions: batch, threads, precision, runtime, versions ...: what else the value depends on.
    """

    name: str
    value: float
    unit: str
    spread: float | None = None
    n: int = 1
    conditions: JsonObject = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isfinite(self.value):
            raise ValueError(f"{self.name}: a measurement is finite, got {self.value}")
        if self.n < 1:
            raise ValueError(f"{self.name}: n is at least 1, got {self.n}")


class OutcomeKind(StrEnum):
    """How an attempt ended. Draining is not among them: work that is given back has no outcome."""

    COMPLETED = "completed"
    PRUNED = "pruned"
    INFEASIBLE = "infeasible"  # the candidate's fault
    FAILED = "failed"  # the world's fault: the store decides whether attempts are left


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker reports of one attempt.

    Attributes:
        reason: closed word (`diverged`, `out_of_memory`, `time_limit`, `segfault`, ...); None when COMPLETED.
        message: one sentence for a person.
        violation: for INFEASIBLE, by how much (> 0), comparable within a study; None where it has no size.
        log: the last part of what the evaluation printed, with the traceback where there was one.
        seconds: wall time by phase, as numbers (`evaluate`, `paused`, ...).
        artifacts: files that it made; they are in the store already.
    """

    kind: OutcomeKind
    measurements: tuple[Measurement, ...] = ()
    reason: str | None = None
    message: str | None = None
    violation: float | None = None
    log: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    artifacts: tuple[ArtifactRef, ...] = ()
