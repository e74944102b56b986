"""What the simulation keeps of trials and attempts, what can happen to them, and how busy workers were."""

from __future__ import annotations

from dataclasses import dataclass, field

from nasd.domain.ids import TrialNumber
from nasd.ports.trials import NewTrial, Step
from nasd.simulator.evaluator import Outcome
from nasd.simulator.fleet import Attempt


@dataclass(slots=True)
class OpenTrial:
    """A trial that is not final: QUEUED while no worker has it (`leased` is None), else RUNNING."""

    trial: NewTrial
    proposed_at_s: float
    n_attempts: int = 0
    n_spent: int = 0
    leased: int | None = None  # the attempt that holds the lease
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Leased:
    """One attempt under way."""

    number: TrialNumber
    index: int  # of the attempt
    worker: int
    started_at_s: float
    goes: Attempt


@dataclass(frozen=True, slots=True)
class Planned:
    """The planner's call ends."""

    step: Step


@dataclass(frozen=True, slots=True)
class Reported:
    leased: Leased


@dataclass(frozen=True, slots=True)
class Expired:
    leased: Leased


@dataclass(frozen=True, slots=True)
class Freed:
    worker: int


Event = Planned | Reported | Expired | Freed


@dataclass(slots=True)
class Usage:
    """Worker-seconds, cut at the end of the admission once it is known."""

    spans: list[tuple[float, float, float]] = field(default_factory=list)  # start, busy until, free again
    closed_at_s: float | None = None

    def share(self, n_workers: int, wall_s: float) -> float:
        end = wall_s if self.closed_at_s is None else self.closed_at_s
        busy = away = 0.0
        for start, busy_until, free in self.spans:
            busy += max(0.0, min(busy_until, end) - start)
            away += max(0.0, min(free, end) - min(busy_until, end))
        available = n_workers * end - away
        return 1.0 if available <= 0 else busy / available
