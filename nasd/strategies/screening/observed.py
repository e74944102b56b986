"""What a history has taught so far, as arrays: one row a trial that taught something about its architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from nasd.domain.architecture import Architecture
from nasd.domain.history import Fact, History
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective

Array = NDArray[np.float64]

_TEACHING = frozenset({State.COMPLETED, State.PRUNED, State.INFEASIBLE})


class Observed:
    """A fold over facts: the latest of each trial, in the order in which trials were first learned."""

    def __init__(self) -> None:
        self._facts: dict[TrialNumber, Fact] = {}
        self.n_facts = 0
        self.n_lost = 0  # trials that taught nothing

    def learn(self, fact: Fact) -> None:
        """Take in the next fact."""
        self.n_facts += 1
        if fact.state in _TEACHING:
            self._facts[fact.trial] = fact
        else:
            self._facts.pop(fact.trial, None)
            self.n_lost += 1

    def copy(self) -> Observed:
        """One that later facts leave as it is."""
        twin = Observed()
        twin._facts, twin.n_facts, twin.n_lost = dict(self._facts), self.n_facts, self.n_lost
        return twin

    def __len__(self) -> int:
        return len(self._facts)

    @property
    def numbers(self) -> tuple[TrialNumber, ...]:
        return tuple(self._facts)

    def architectures(self, history: History) -> list[Architecture]:
        """Of the trials in `numbers`."""
        return [history.architectures[number] for number in self._facts]

    def values(self, name: str) -> Array:
        """(n,) a quantity's values; NaN where a trial has none."""
        return np.array([_value(fact.values, name) for fact in self._facts.values()], dtype=np.float64)

    def violations(self) -> Array:
        """(n,) 0.0 where feasible."""
        return np.array(
            [
                max(fact.violation, 1.0 if fact.state is State.INFEASIBLE and fact.violation <= 0 else 0.0)
                for fact in self._facts.values()
            ]
        )

    def feasible(self, objectives: Sequence[Objective]) -> NDArray[np.bool_]:
        """(n,) whether a trial may be on a front: within limits, and with a value for every objective."""
        complete = np.ones(len(self), dtype=np.bool_)
        for objective in objectives:
            complete &= np.isfinite(self.values(objective.name))
        return complete & (self.violations() <= 0)

    def works(self) -> Array:
        """(n,) 1.0 where an evaluation came to its end, 0.0 where the candidate itself was at fault (no values)."""
        return np.array([float(fact.state is not State.INFEASIBLE) for fact in self._facts.values()])


def _value(values: Mapping[str, float], name: str) -> float:
    value = values.get(name, np.nan)
    return value if isfinite(value) else np.nan


def best_and_latest(ranks: Sequence[int], n: int) -> NDArray[np.intp]:
    """Which of many rows a model is made of: a third the latest, the rest those of the best ranks, ascending.

    Args:
        ranks: of each row in learned order, 0 the best.
    """
    total = len(ranks)
    if total <= n:
        return np.arange(total)
    latest = np.arange(total - n // 3, total)
    others = np.argsort(np.asarray(ranks)[: total - n // 3], kind="stable")[: n - len(latest)]
    return np.sort(np.concatenate([others, latest]))
