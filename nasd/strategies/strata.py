"""Cost strata: the range of a space's parameters in parts that are equally wide on the logarithmic scale.

Trials take the strata in turn, so a study of any length visits all of them, and a stratum that holds few architectures
or none costs its own turns and no more: they go to its neighbours. Nothing is remembered between proposals.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.extremes import count_extremes
from nasd.domain.history import History, Proposal
from nasd.domain.seeding import seed_of
from nasd.domain.space import SearchSpace
from nasd.errors import SpaceExhausted

_N_STRATA = 8
_TURN = 3  # from one trial's stratum to the next one's: neighbours in time are far apart in cost
_DRAWS = 48  # samples, of which the first in the stratum is taken
_STEPS = 96  # mutations towards it, where none was
_EDGE = 0.25  # of a stratum's width: a walk leads to a point that far from its edges, and ends that near to the point


@dataclass(frozen=True, slots=True)
class Strata:
    """`n` parts between `low` and `high`, both logarithms of parameters."""

    low: float
    high: float
    n: int = _N_STRATA

    @property
    def width(self) -> float:
        return (self.high - self.low) / self.n

    def of(self, cost: float) -> int:
        """The stratum of a network whose parameters have this logarithm; what lies beyond an end is the end's."""
        return min(self.n - 1, max(0, int((cost - self.low) / self.width)))

    def propose(
        self, space: SearchSpace, history: History, trial_number: int, rng: np.random.Generator
    ) -> Proposal | None:
        """A fresh architecture of the trial's stratum, else the nearest to it that was met; None where none was.

        Samples come first, so that within a stratum the space's own distribution holds. Only where the stratum is too
        rare for them do mutations lead there, to a point drawn within it.
        """
        stratum = trial_number * _TURN % self.n
        within = _EDGE + (1 - 2 * _EDGE) * float(rng.random())
        search = _Search(space, history, self.low + (stratum + within) * self.width)
        for _ in range(_DRAWS):
            drawn, cost, is_fresh = search.meet(space.sample(rng))
            if is_fresh and self.of(cost) == stratum:
                return Proposal(architecture=drawn, operator="sample", notes={"stratum": stratum})
        for _ in range(_STEPS):
            if search.away <= _EDGE * self.width:
                break
            search.meet(space.mutate(search.nearest, rng))
        if search.fresh is None:
            return None
        return Proposal(architecture=search.fresh, operator="sample", notes={"stratum": stratum, "walked": True})


class _Search:
    """The networks met on the way to a cost.

    Attributes:
        nearest: of all that were met, the latest of several.
        fresh: the nearest that the history does not hold.
        away: how far that is; infinite where there is none.
    """

    def __init__(self, space: SearchSpace, history: History, point: float) -> None:
        self._space, self._history, self._point = space, history, point
        self._least = inf
        self.nearest: Architecture
        self.fresh: Architecture | None = None
        self.away = inf

    def meet(self, candidate: Architecture) -> tuple[Architecture, float, bool]:
        """Take note of it: the candidate, the logarithm of its parameters, and whether it is fresh."""
        cost = log(self._space.counts(candidate)["params"])
        away = abs(cost - self._point)
        if away <= self._least:
            self.nearest, self._least = candidate, away
        is_fresh = self._history.number_of(candidate.key) is None
        if is_fresh and away < self.away:
            self.fresh, self.away = candidate, away
        return candidate, cost, is_fresh


def strata_of(space: SearchSpace) -> Strata | None:
    """The strata of a space, the same at every call; None where it knows no parameters ahead or all have as many."""
    rng = np.random.Generator(np.random.PCG64(seed_of("strata", space.name)))
    if space.counts(space.sample(rng)).get("params", 0) <= 0:
        return None
    try:
        low, high = count_extremes(space, n_samples=256, n_steps=160)["params"]
    except SpaceExhausted:  # one member: nothing can be mutated
        return None
    return Strata(log(low), log(high)) if 0 < low < high else None
