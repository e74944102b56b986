"""One device kind's Pareto front as facts arrive, and its score in the study's frozen box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nasd.domain.history import Fact, History
from nasd.domain.ids import DeviceKind, LearnedSeq, TrialNumber
from nasd.domain.objective import Limit, Objective, violation
from nasd.domain.pareto import Front
from nasd.domain.scoring import ScoringBox, hypervolume
from nasd.ports.trials import FrontChange

DOMINATED, REVISED, RETRACTED = "dominated", "revised", "retracted"


@dataclass(frozen=True, slots=True)
class Membership:
    """What one fact did to the members; both empty where only a member's values changed."""

    entered: tuple[TrialNumber, ...] = ()
    left: Mapping[TrialNumber, str] = field(default_factory=dict)


class KindFront:
    """The feasible, fully evaluated, non-dominated trials under one kind's objectives.

    Insertion is the fast path. A revised member may uncover what it dominated, so its front is rebuilt from every
    eligible trial.

    Args:
        columns: where the objectives stand in the history.
        limits: that keep a trial off this front alone, by the names that a trial's values have.
        deciding: what must be known to be kept as well.
    """

    def __init__(
        self,
        kind: DeviceKind,
        *,
        objectives: Sequence[Objective],
        columns: Sequence[int],
        limits: Sequence[Limit] = (),
        deciding: Sequence[Limit] = (),
    ) -> None:
        self.kind = kind
        self.objectives = tuple(objectives)
        self.limits, self.deciding = tuple(limits), tuple(deciding)
        self.box: ScoringBox | None = None
        self.last_score: float | None = None  # as of the latest change
        self.columns = tuple(columns)
        self._index = np.asarray(columns, dtype=np.intp)
        self._front = Front(len(self.columns))
        self._eligible: set[TrialNumber] = set()
        self.undecided: set[TrialNumber] = set()  # would be on it, but for a limit that does not decide yet

    def __len__(self) -> int:
        return len(self._front)

    def __contains__(self, number: TrialNumber) -> bool:
        return number in self._front

    @property
    def members(self) -> tuple[TrialNumber, ...]:
        """Ascending."""
        return self._front.members()

    def is_measured(self, number: TrialNumber, history: History) -> bool:
        """Whether every quantity that is measured on this kind is known of the trial."""
        measured = [at for each, at in zip(self.objectives, self.columns, strict=True) if each.device is not None]
        return bool(np.isfinite(history.losses[number, measured]).all())

    def losses(self, history: History, numbers: Sequence[TrialNumber]) -> NDArray[np.float64]:
        """(n, m) of these trials under this kind's objectives."""
        return history.losses[np.ix_(np.asarray(numbers, dtype=np.intp), self._index)]

    def learn(self, fact: Fact, history: History, *, eligible: bool, is_first: bool) -> Membership | None:
        """Take in the history's newest fact; None where neither members nor their values changed.

        Args:
            eligible: as far as the whole trial goes: it completed and keeps the limits of trials.
        """
        number = fact.trial
        losses = history.losses[number, self._index]
        eligible = eligible and bool(np.isfinite(losses).all()) and violation(self.limits, fact.values) <= 0
        self.undecided.discard(number)
        if eligible and not self._is_decided(fact):
            eligible = False
            if self._front.would_enter(losses):
                self.undecided.add(number)
        was_member = number in self._front
        if eligible:
            self._eligible.add(number)
        else:
            self._eligible.discard(number)
        if not is_first and was_member:
            return self._rebuild(number, history)
        if not eligible:
            return None
        done = self._front.insert(number, losses)
        return Membership((number,), dict.fromkeys(done.left, DOMINATED)) if done.entered else None

    def _is_decided(self, fact: Fact) -> bool:
        is_known = all(limit.of in fact.values for limit in self.deciding)
        return is_known and violation(self.deciding, fact.values) <= 0

    def _rebuild(self, revised: TrialNumber, history: History) -> Membership:
        numbers = sorted(self._eligible)
        done = self._front.rebuild(numbers, self.losses(history, numbers))
        own = REVISED if revised in self._eligible else RETRACTED
        left = {number: own if number == revised else DOMINATED for number in done.left}
        return Membership(done.entered, left)

    def change(self, seq: LearnedSeq, membership: Membership | None) -> FrontChange:
        """`membership` (None: the box was frozen, nobody moved) as a row to store, scored."""
        self.last_score = self.score()
        return FrontChange(
            device_kind=self.kind,
            seq=seq,
            entered=membership.entered if membership else (),
            left=membership.left if membership else {},
            hypervolume=self.last_score,
            size=len(self),
        )

    def score(self) -> float | None:
        """The hypervolume of the members; None while the box is not frozen."""
        if self.box is None:
            return None
        return hypervolume(self.box, self._front.losses())
