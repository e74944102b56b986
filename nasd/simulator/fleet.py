"""Fleet: workers of unequal speed and what befalls their attempts. Everything random is keyed by seed and trial."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from nasd.domain.lifecycle import State
from nasd.domain.seeding import seed_of


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it will go; seconds count from its start.

    Attributes:
        report_s: when the worker reports; None: it never does.
        busy_s: how long the worker works.
        free_s: when the worker asks for work again; a worker that was lost is away from `busy_s` until then.
        expires_s: when the lease is taken back; None: the worker renews it until it reports.
    """

    report_s: float | None
    busy_s: float
    free_s: float
    expires_s: float | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """Workers that evaluate side by side.

    Attributes:
        speeds: one worker each: what takes a second at speed 1 takes 1 / speed seconds.
        jitter: standard deviation of the logarithm of an attempt's duration; the median is unchanged.
        failure_rate: share of trials whose evaluation ends without values, somewhere on its way.
        failure_state: what such a trial is: INFEASIBLE (the candidate's fault, charged) or FAILED (refunded).
        lost_rate: share of attempts whose worker stands still before it reports, so that its lease is taken back.
        late_share: share of those whose worker wakes up, finishes, and reports late; the others come back without.
        lease_s: how long a worker stands still before its lease is taken back; None: as long as its whole evaluation
            takes.
        max_attempts: lost leases until the trial is FAILED.
    """

    speeds: tuple[float, ...]
    jitter: float = 0.1
    failure_rate: float = 0.0
    failure_state: State = State.INFEASIBLE
    lost_rate: float = 0.0
    late_share: float = 0.5
    lease_s: float | None = None
    max_attempts: int = 3

    def __post_init__(self) -> None:
        if not self.speeds or min(self.speeds) <= 0:
            raise ValueError(f"speeds = {self.speeds}: give at least one, each above 0")
        if self.jitter < 0:
            raise ValueError(f"jitter = {self.jitter}: must not be negative")
        for name in ("failure_rate", "lost_rate", "late_share"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ValueError(f"{name} = {share}: must lie between 0 and 1")
        if self.failure_state not in {State.INFEASIBLE, State.FAILED}:
            raise ValueError(f"failure_state = {self.failure_state}: must be infeasible or failed")

    def fails_at(self, seed: int, number: int) -> float | None:
        """The share of its evaluation after which trial `number` ends without values; None: it does not."""
        if self.failure_rate <= 0:
            return None
        rng = _rng("failure", seed, number)
        fails, at = rng.random(2)
        return float(at) if fails < self.failure_rate else None

    def attempt(self, seed: int, number: int, n_before: int, *, worker: int, duration_s: float) -> Attempt:
        """How the next attempt at trial `number` goes on `worker`.

        Args:
            n_before: attempts at it so far.
            duration_s: at speed 1.
        """
        rng = _rng("attempt", seed, number, n_before)
        takes_s = duration_s / self.speeds[worker] * exp(self.jitter * rng.standard_normal())
        if self.lost_rate <= 0 or rng.random() >= self.lost_rate:
            return Attempt(report_s=takes_s, busy_s=takes_s, free_s=takes_s)
        at, wakes, nap = rng.random(3)
        lease_s = takes_s if self.lease_s is None else self.lease_s
        stands_s = at * takes_s
        away_s = lease_s * (1 + 3 * nap)  # always longer than the lease, or it would not be lost
        expires_s = stands_s + lease_s
        if wakes < self.late_share:
            report_s = takes_s + away_s
            return Attempt(report_s=report_s, busy_s=stands_s, free_s=report_s, expires_s=expires_s)
        return Attempt(report_s=None, busy_s=stands_s, free_s=stands_s + away_s, expires_s=expires_s)


def _rng(*parts: int | str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed_of("simulator", *parts)))
