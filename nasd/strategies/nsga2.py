"""Steady-state NSGA-II: of the last rank the most crowded member leaves.

Source: Deb et al. 2002, NSGA-II, sections III-B (crowding) and VI (constrained domination); Durillo et al. 2009 for the
steady-state form.
"""

from __future__ import annotations

from collections.abc import Sequence

from nasd.domain.objective import Objective
from nasd.domain.space import SearchSpace
from nasd.strategies.steady import SteadyState
from nasd.strategies.worth import crowding


class Nsga2(SteadyState):
    """Steady-state evolution by rank and crowding distance."""

    name = "nsga2"
    version = "nsga2-2"

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], *, population: int = 12, mutation_only: float = 0.3
    ) -> None:
        super().__init__(space, objectives, worth=crowding, population=population, mutation_only=mutation_only)
