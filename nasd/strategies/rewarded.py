"""Results by their reward: what a study learned lately, and where one of them stands under a preference."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasd.domain.history import Fact
from nasd.domain.ids import TrialNumber
from nasd.domain.objective import Objective
from nasd.strategies.members import Member, member_of, members_from_json, members_to_json
from nasd.strategies.reward import Reward

Array = NDArray[np.float64]

_RECENT = 128  # results


class Rewarded:
    """A `nasd.strategies.follow.Fold`: the last results, whoever proposed them, and the best values ever seen.

    A revision changes a result where it stands; of a trial that was lost or is forgotten it changes nothing.
    """

    def __init__(self, objectives: Sequence[Objective], reward: Reward) -> None:
        self._objectives, self._reward = tuple(objectives), reward
        self._recent: dict[TrialNumber, Member] = {}
        self._low = np.full(len(objectives), inf)
        self._newest = -1
        self.n_results = 0

    @property
    def numbers(self) -> tuple[TrialNumber, ...]:
        return (TrialNumber(self._newest),) if self._newest >= 0 else ()

    @property
    def recent(self) -> tuple[Member, ...]:
        """In the order in which they were learned."""
        return tuple(self._recent.values())

    def learn(self, fact: Fact) -> None:
        self.take(fact)

    def take(self, fact: Fact) -> Member | None:
        """Learn a fact; what it says of its trial, None where that is nothing."""
        self._newest = max(self._newest, fact.trial)
        member = member_of(fact, self._objectives)
        is_new = fact.kind == "result" and fact.trial not in self._recent
        if member is None or not (is_new or fact.trial in self._recent):
            return member
        self._recent[fact.trial] = member  # one that is known keeps its place
        self.n_results += is_new
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        if member.violation == 0:
            self._low = np.minimum(self._low, self._reward.scaled(np.array(member.losses)))
        return member

    def standing(self, members: Sequence[Member], preferences: Array) -> Array:
        """(n,) where each stands among recent feasible results, each under its own preference: -1 worst, 1 best.

        Ranks need no scale and no outlier moves them. An infeasible one stands where the worst of the others does; all
        are 0.0 while nothing was feasible.

        Args:
            preferences: (n, m).
        """
        usual = np.array([each.losses for each in self._recent.values() if each.violation == 0])
        if len(usual) == 0:
            return np.zeros(len(members))
        everything = self._reward.of(usual, preferences, low=self._low, recent=usual)  # (n, usual)
        own = everything.min(axis=1)
        rows = [row for row, member in enumerate(members) if member.violation == 0]
        if rows:
            losses = np.array([members[row].losses for row in rows])
            rewards = self._reward.of(losses, preferences[rows], low=self._low, recent=usual)
            own[rows] = np.maximum(own[rows], np.diagonal(rewards))
        worse, equal = everything < own[:, None], everything == own[:, None]
        standing: Array = 2 * worse.mean(axis=1) + equal.mean(axis=1) - 1
        return standing

    def to_json(self) -> dict[str, object]:
        """Exact."""
        return {
            "recent": members_to_json(self.recent),
            "low": packed(self._low),
            "newest": self._newest,
            "n_results": self.n_results,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Become what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it was not written by this version.
        """
        n = len(self._objectives)
        recent = {member.number: member for member in members_from_json(state["recent"], n)}
        low, newest, n_results = unpacked(state["low"], n), int(state["newest"]), int(state["n_results"])
        self._recent, self._low, self._newest, self.n_results = recent, low, newest, n_results


def packed(vector: Array) -> str:
    """Numbers as text, exact and the same on every machine."""
    return base64.b64encode(vector.astype("<f8").tobytes()).decode("ascii")


def unpacked(text: str, n: int) -> Array:
    """The reverse.

    Raises:
        ValueError, TypeError: not n numbers.
    """
    vector = np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8").astype(np.float64)
    if len(vector) != n:
        raise ValueError(f"{len(vector)} numbers, not {n}")
    return vector
