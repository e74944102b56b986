"""WorkerStats: what a worker has done and with which share of its time, as plain numbers for telemetry to read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from nasd.domain.measurement import Outcome, OutcomeKind, Stage


class Observer(Protocol):
    """Hears of each end as it happens (`nasd.telemetry.worker.WorkerTelemetry`)."""

    def evaluated(self, stage: Stage, outcome: OutcomeKind | None, seconds: float) -> None:
        """An evaluation ended; `outcome` is None where nothing was reported."""
        ...

    def refused(self) -> None:
        """A message was not the project's own."""
        ...


@dataclass(slots=True)
class WorkerStats:
    """Counters since the start. Written by the worker's threads, read by anyone.

    Attributes:
        busy_s: leased and evaluating, without pauses.
        paused_s: waiting for another worker's measurement on this host.
        evaluations: how many by (stage, outcome); `given_back` and `abandoned` are outcomes here.
        seconds: spent in evaluations, by stage.
        refused_messages: of the queue, that were not the project's own.
        lost_leases: results that came too late.
    """

    busy_s: float = 0.0
    paused_s: float = 0.0
    evaluations: dict[tuple[str, str], int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    leases: int = 0
    lost_leases: int = 0
    failed_renewals: int = 0
    failed_reports: int = 0
    refused_messages: int = 0
    child_starts: int = 0
    child_deaths: int = 0
    started_at: float = field(default_factory=time.monotonic)
    running: Callable[[], tuple[float, float]] | None = None  # (busy, paused) of the evaluation under way
    observer: Observer | None = None

    def count(self, stage: Stage, outcome: Outcome | None, seconds: float, *, drained: bool) -> str:
        """One more evaluation; the word under which it was counted."""
        word = str(outcome.kind) if outcome is not None else "given_back" if drained else "abandoned"
        key = (str(stage), word)
        self.evaluations[key] = self.evaluations.get(key, 0) + 1
        if self.observer is not None:
            self.observer.evaluated(stage, outcome.kind if outcome is not None else None, seconds)
        return word

    def refuse(self) -> None:
        """One more message that was not the project's own."""
        self.refused_messages += 1
        if self.observer is not None:
            self.observer.refused()

    def spend(self, stage: Stage, wall_s: float, paused_s: float) -> None:
        """Account for one evaluation."""
        paused_s = min(paused_s, wall_s)
        self.busy_s += wall_s - paused_s
        self.paused_s += paused_s
        self.seconds[str(stage)] = self.seconds.get(str(stage), 0.0) + wall_s

    @property
    def activity_s(self) -> dict[str, float]:
        """Seconds so far as `busy`, `paused` and `idle`; they sum to the worker's age."""
        running = self.running
        busy_s, paused_s = running() if running is not None else (0.0, 0.0)
        busy_s, paused_s = self.busy_s + busy_s, self.paused_s + paused_s
        age_s = time.monotonic() - self.started_at
        return {"busy": busy_s, "paused": paused_s, "idle": max(0.0, age_s - busy_s - paused_s)}

    def snapshot(self) -> dict[str, object]:
        """Everything as plain values; evaluations as (stage, outcome, count)."""
        return {
            **{f"{name}_s": seconds for name, seconds in self.activity_s.items()},
            "evaluations": [(stage, outcome, n) for (stage, outcome), n in self.evaluations.copy().items()],
            "seconds": dict(self.seconds),
            "leases": self.leases,
            "lost_leases": self.lost_leases,
            "failed_renewals": self.failed_renewals,
            "failed_reports": self.failed_reports,
            "refused_messages": self.refused_messages,
            "child_starts": self.child_starts,
            "child_deaths": self.child_deaths,
        }
