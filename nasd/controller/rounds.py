"""Later measuring rounds: what is on a front is measured again, and so is what a limit on the p95 leaves undecided.

Their results revise the trials. A trial has one round on its way that was asked for here, two where another device's
value came in between. All of it is a function of the facts in learned order; nothing is stored.
"""

from __future__ import annotations

from collections.abc import Mapping

from nasd.controller.fronts import KindFront, Membership
from nasd.controller.stages import ROUND_PRIORITY, measurement
from nasd.domain.history import Fact
from nasd.domain.ids import DeviceKind, TrialNumber
from nasd.domain.study import StudySpec
from nasd.ports.trials import NewEvaluation

MOST_UNDECIDED = 3  # further rounds for a limit that does not decide; then the trial stays off that front


class Rounds:
    """Which rounds were asked for and which are awaited.

    Args:
        kinds: that are measured on.
    """

    def __init__(self, spec: StudySpec, *, kinds: tuple[DeviceKind, ...]) -> None:
        self._spec, self._kinds, self._n_rounds = spec, kinds, spec.measure.rounds
        self._asked: dict[tuple[TrialNumber, DeviceKind], int] = {}  # the latest round, where it is not the first
        self.awaited: dict[TrialNumber, DeviceKind] = {}

    def due(
        self, fact: Fact, changes: Mapping[DeviceKind, Membership], fronts: Mapping[DeviceKind, KindFront]
    ) -> list[tuple[TrialNumber, NewEvaluation]]:
        """The rounds that fall due with this fact: of its own trial and of those that entered a front with it."""
        if not self._kinds:
            return []
        self.awaited.pop(fact.trial, None)
        entered = sorted({number for change in changes.values() for number in change.entered} | {fact.trial})
        due = []
        for number in entered:
            kind = self._next_kind(number, fronts)
            if kind is None:
                continue
            round_ = self._asked.get((number, kind), 1) + 1
            self._asked[number, kind] = round_
            self.awaited[number] = kind
            due.append((number, measurement(self._spec, kind, priority=ROUND_PRIORITY, round_=round_)))
        return due

    def _next_kind(self, number: TrialNumber, fronts: Mapping[DeviceKind, KindFront]) -> DeviceKind | None:
        if number in self.awaited:
            return None
        for kind in self._kinds:
            asked = self._asked.get((number, kind), 1)
            if number in fronts[kind] and asked < self._n_rounds:
                return kind
            if number in fronts[kind].undecided and asked < self._n_rounds + MOST_UNDECIDED:
                return kind
        return None
