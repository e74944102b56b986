"""Later measuring rounds: what is on a front is measured again, and its values are revised.

A trial has at most one round on its way, so that a revision says which round it answers. All of it is a function of
the facts in learned order; nothing is stored.
"""

from __future__ import annotations

from collections.abc import Mapping

from nasd.controller.fronts import KindFront, Membership
from nasd.domain.history import Fact
from nasd.domain.ids import DeviceKind, TrialNumber
from nasd.domain.measurement import Stage
from nasd.ports.trials import NewEvaluation

ROUND_PRIORITY = 5  # after the first look at new trials, before the next training


class Rounds:
    """Which rounds were asked for and which are awaited."""

    def __init__(self, *, kinds: tuple[DeviceKind, ...], n_rounds: int) -> None:
        self._kinds = kinds
        self._n_rounds = n_rounds
        self._asked: dict[tuple[TrialNumber, DeviceKind], int] = {}  # the latest round, where it is not the first
        self.awaited: dict[TrialNumber, DeviceKind] = {}

    def due(
        self, fact: Fact, changes: Mapping[DeviceKind, Membership], fronts: Mapping[DeviceKind, KindFront]
    ) -> list[tuple[TrialNumber, NewEvaluation]]:
        """The rounds that fall due with this fact: of its own trial and of those that entered a front with it."""
        if self._n_rounds == 1 or not self._kinds:
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
            wanted = NewEvaluation(stage=Stage.MEASURE, device_kind=kind, priority=ROUND_PRIORITY, round=round_)
            due.append((number, wanted))
        return due

    def _next_kind(self, number: TrialNumber, fronts: Mapping[DeviceKind, KindFront]) -> DeviceKind | None:
        if number in self.awaited:
            return None
        for kind in self._kinds:
            if number in fronts[kind] and self._asked.get((number, kind), 1) < self._n_rounds:
                return kind
        return None
