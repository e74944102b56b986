"""What a simulation leaves: a row a trial, and figures of the fleet and the planner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nasd.domain.architecture import Architecture
from nasd.domain.ids import DeviceKind
from nasd.domain.lifecycle import State
from nasd.domain.scoring import ScoringBox


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial that became final; seconds are virtual ones since the study began.

    Attributes:
        proposed_at_s: when it could be leased first.
        started_at_s: when the attempt that ended it began; None where no worker had to see it.
        worker: index into `Fleet.speeds`, of that attempt; None where there was none.
        values: what was learned; exact counts included where the space knows them.
        learned_seq: its place in the learned order, from 1.
    """

    number: int
    operator: str
    architecture: Architecture
    proposed_at_s: float
    started_at_s: float | None
    finished_at_s: float
    worker: int | None
    state: State
    values: Mapping[str, float]
    learned_seq: int


@dataclass(frozen=True, slots=True)
class Run:
    """A simulated study.

    Attributes:
        trials: in number order; those that were cancelled with the study's end are left out.
        utilisation: busy over available worker-seconds, until no more work could be handed out; lost workers are not
            available. 1.0 where there was none to hand out.
        ask_s: real seconds of every proposal of the strategy, in order.
        ended: why the study ended, as the controller says it.
        wall_s: virtual seconds until then.
        boxes: the scoring boxes that the controller froze, by device kind; strategies never see them.
    """

    trials: tuple[TrialRow, ...]
    utilisation: float
    ask_s: tuple[float, ...]
    ended: str
    wall_s: float
    boxes: Mapping[DeviceKind, ScoringBox]

    def learned(self) -> tuple[TrialRow, ...]:
        """The trials in the order in which they were learned."""
        return tuple(sorted(self.trials, key=lambda row: row.learned_seq))
