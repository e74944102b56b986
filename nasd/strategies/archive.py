"""The archive: the front of all results that a history holds, as they are valued now."""

from __future__ import annotations

import numpy as np

from nasd.domain.history import History
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.pareto import Front

_RANKED = frozenset({State.COMPLETED, State.PRUNED})


class Archive:
    """Feasible results that no other beats; while there is none, the results that break limits by least.

    A function of a history's rows: it is the same for every order in which they were learned.

    Args:
        first: the first trial that counts.
    """

    def __init__(self, n_objectives: int, *, first: int = 0) -> None:
        self._first = first
        self._front = Front(n_objectives)
        self._n_facts = 0
        self._feasible = np.zeros(64, dtype=np.bool_)
        self._beyond = np.full(64, np.inf)  # violation, where it is known

    def follow(self, history: History) -> None:
        """Take in the facts that are new; always of the same history."""
        while len(self._feasible) < len(history):
            self._feasible = np.concatenate([self._feasible, np.zeros_like(self._feasible)])
            self._beyond = np.concatenate([self._beyond, np.full_like(self._beyond, np.inf)])
        changed = False
        for fact in history.facts[self._n_facts :]:
            if fact.trial >= self._first:
                changed = self._learn(fact.trial, history) or changed
        self._n_facts = len(history.facts)
        if changed:
            numbers = np.flatnonzero(self._feasible[: len(history)])
            self._front.rebuild([TrialNumber(number) for number in numbers.tolist()], history.losses[numbers])

    def members(self) -> tuple[TrialNumber, ...]:
        """Trial numbers, ascending."""
        if len(self._front):
            return self._front.members()
        least = self._beyond.min()
        return tuple(TrialNumber(number) for number in np.flatnonzero(self._beyond == least).tolist() if least < np.inf)

    def _learn(self, number: TrialNumber, history: History) -> bool:
        """Take in a trial as it is now; True where a member changed, so that what it had beaten may be back."""
        state, violation = history.state(number), history.violations[number]
        losses = history.losses[number]  # (m,)
        is_ranked = state in _RANKED and violation <= 0 and bool(np.isfinite(losses).all())
        is_beyond = violation > 0 and (state in _RANKED or state is State.INFEASIBLE)
        self._feasible[number] = is_ranked
        self._beyond[number] = violation if is_beyond else np.inf
        if number in self._front:
            return True
        if is_ranked:
            self._front.insert(number, losses)
        return False
