"""A study as its strategy is to see it: one scalar instead of a front, and what lies outside the wanted ranges behind.

Only the strategy's view changes. A study's rows, its fronts and its limits stay what the study file says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, nextafter

import numpy as np

from nasd.domain.history import Fact, History, Proposal, Wait
from nasd.domain.ids import LearnedSeq
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective, Source
from nasd.domain.scalar import Term, scalar_of
from nasd.domain.study import SCALAR, StrategySpec
from nasd.strategies import build
from nasd.strategies.base import SearchStrategy, Setting
from nasd.strategies.mirror import Mirror

_COLUMN = Objective(name=SCALAR, unit="", source=Source.REPORTED, sign=-1)
_HARD = 1.0  # every soft violation lies below it
_BELOW_HARD = nextafter(_HARD, 0.0)


def build_view(spec: StrategySpec, setting: Setting, *, terms: Sequence[Term] = ()) -> SearchStrategy:
    """The strategy that `spec` names, shown the study through `terms` and `setting.preference`; itself without both.

    Args:
        setting: of the study as it is.
        terms: of the scalar; empty: the strategy sees all objectives.

    Raises:
        UserError: as `nasd.strategies.build`.
    """
    outside = tuple(_ends(setting))
    if not terms and not outside:
        return build(spec, setting)
    # ranges speak of columns, which a scalar has not: there they count through violations alone
    seen = replace(setting, objectives=(_COLUMN,), preference={}) if terms else setting
    return View(build(spec, seen), seen.objectives, terms=tuple(terms), outside=outside)


@dataclass(frozen=True, slots=True)
class _End:
    """Where a column begins to be worse than wanted; `scale`: the overshoot that counts as 1."""

    name: str
    sign: int
    worst: float
    scale: float

    def overshoot(self, values: Mapping[str, float]) -> float:
        """0.0 within what is wanted, and where the value is unknown."""
        value = values.get(self.name)
        return 0.0 if value is None else max(0.0, self.sign * (value - self.worst) / self.scale)


def _ends(setting: Setting) -> Iterator[_End]:
    for objective in setting.objectives:
        best, worst = setting.preference.get(objective.name, (None, None))
        if worst is not None:
            width = abs(worst) if best is None else abs(worst - best)
            yield _End(objective.name, objective.sign, worst, max(width, 1e-12))


class View:
    """A strategy that is shown a history made from the study's own, fact by fact.

    The same trials with the same numbers; of each fact the scalar is added to the values, and the violation is
    replaced: below 1 for what is feasible but outside the wanted ranges, 1 and what was for what breaks a hard limit.
    """

    def __init__(
        self,
        inner: SearchStrategy,
        objectives: Sequence[Objective],
        *,
        terms: tuple[Term, ...],
        outside: tuple[_End, ...],
    ) -> None:
        self._inner = inner
        self._terms, self._outside = terms, outside
        self.name = inner.name
        self.version = inner.version + "-preference-1" * bool(outside) + "-scalar-1" * bool(terms)
        self._mirror = Mirror(objectives, self._seen)

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal | Wait:
        """What the strategy proposes for what it is shown.

        Raises:
            SpaceExhausted: the strategy has nothing left.
        """
        return self._inner.propose(self.shown(history), trial_number, rng)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The strategy's own: both histories have the same learned order."""
        return self._inner.cache()

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over the strategy's own."""
        self._inner.restore(learned_seq, state)

    def shown(self, history: History) -> History:
        """The strategy's history after all of `history`; goes on where it is the one seen last."""
        return self._mirror.after(history)

    def _seen(self, fact: Fact) -> Fact:
        values = dict(fact.values)
        scalar = scalar_of(self._terms, values) if self._terms else None
        if scalar is not None:
            values[SCALAR] = scalar
        return replace(fact, values=values, violation=self._violation(fact))

    def _violation(self, fact: Fact) -> float:
        if not self._outside:
            return fact.violation
        if fact.violation > 0:
            return _HARD + fact.violation
        if fact.state not in {State.COMPLETED, State.PRUNED}:
            return fact.violation  # 0.0: infeasible by an unknown amount, or lost
        soft = sum(each.overshoot(fact.values) for each in self._outside)
        return min(soft / (1 + soft), _BELOW_HARD) if isfinite(soft) else _BELOW_HARD
