"""The one interface every strategy has, and what it may know of a study besides its history."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import History, Proposal, Wait
from nasd.domain.ids import LearnedSeq
from nasd.domain.objective import Limit, Objective
from nasd.domain.space import SearchSpace

Costs = Callable[[Architecture], Mapping[str, float]]
Range = tuple[float | None, float | None]  # best, worst


def nothing_known(_architecture: Architecture) -> Mapping[str, float]:
    """The costs of a study in which nothing is known before an evaluation."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a strategy may know of a study besides its own settings and its history.

    Attributes:
        objectives: the columns of the history that it will be shown.
        limits: hard limits, by the names that facts' values have; `nasd.domain.objective.violation` judges them.
        costs: values of some objectives and limited quantities, exact, before an architecture is evaluated: counts,
            and what the user's own function declares. The same names for every architecture of a study; microseconds.
            Not to be called before the first proposal: it may import the user's code.
        preference: column -> (best, worst), the values that the user wants, in the objective's own unit; either end may
            be None. What is worse than `worst` arrives with a violation; models take `worst` as their reference point.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    costs: Costs = nothing_known
    preference: Mapping[str, Range] = field(default_factory=dict)


class SearchStrategy(Protocol):
    """Proposes architectures. Same history, number and generator: same proposal. Keeps no state a restart could lose.

    Laws (tests/contract/test_strategies.py):
        * a pure function of (history, trial number, generator); dropping the cache inside changes nothing;
        * never proposes an architecture the history holds, in flight or not;
        * lost (FAILED) results teach nothing; infeasible ones are ranked behind every feasible one;
        * never waits for a particular result;
        * raises SpaceExhausted when every architecture of the space has been proposed, and only then.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Changes whenever the same history would give another proposal."""
        ...

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal | Wait: ...

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """What `restore` takes, as JSON, and the fact it holds up to; None where there is nothing worth keeping."""
        ...

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over a cache that was made under the same version and settings."""
        ...
