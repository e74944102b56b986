"""WorkerTelemetry: a worker's own figures, read when Prometheus asks and counted as evaluations end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry

from nasd import __version__
from nasd.domain.measurement import OutcomeKind, Stage
from nasd.telemetry.series import WorkerSeries


class WorkerStats(Protocol):
    """What a worker's session shows of itself.

    Attributes:
        activity_s: seconds so far by activity (`busy`, `paused`, `idle`).
    """

    @property
    def activity_s(self) -> Mapping[str, float]: ...


class WorkerTelemetry:
    """One a worker process."""

    def __init__(self, registry: CollectorRegistry, *, stats: Callable[[], WorkerStats] | None = None) -> None:
        self._series = WorkerSeries(registry)
        self._series.build.info({"version": __version__})
        if stats is not None:
            self._series.busy_fraction.set_function(lambda: busy_fraction(stats().activity_s))
            for activity in ("busy", "paused", "idle"):
                self._series.activity_s.labels(activity).set_function(_reader(stats, activity))

    def evaluated(self, stage: Stage, outcome: OutcomeKind | None, seconds: float) -> None:
        """An evaluation ended; `outcome` is None where it was given back or its result refused."""
        self._series.evaluations.labels(stage.value, outcome.value if outcome else "given_back").inc()
        self._series.evaluation_s.labels(stage.value).observe(seconds)

    def refused(self) -> None:
        """A doorbell message was not ours."""
        self._series.refused.inc()


def busy_fraction(activity_s: Mapping[str, float]) -> float:
    """Busy over busy and idle seconds: pauses for another's measurement count on neither side; 0.0 before the first."""
    busy, idle = activity_s.get("busy", 0.0), activity_s.get("idle", 0.0)
    return busy / (busy + idle) if busy + idle > 0 else 0.0


def _reader(stats: Callable[[], WorkerStats], activity: str) -> Callable[[], float]:
    return lambda: float(stats().activity_s.get(activity, 0.0))
