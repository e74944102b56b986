"""SMS-EMOA: of the last rank the member that adds least to its hypervolume leaves.

Source: Beume, Naujoks and Emmerich 2007, SMS-EMOA: multiobjective selection based on dominated hypervolume, section 3.
Theirs draws parents evenly; here they win the same tournaments as NSGA-II's, with the contribution for the distance.
"""

from __future__ import annotations

from collections.abc import Sequence

from nasd.domain.objective import Objective
from nasd.domain.space import SearchSpace
from nasd.strategies.steady import SteadyState
from nasd.strategies.worth import contributions


class SmsEmoa(SteadyState):
    """Steady-state evolution by rank and hypervolume contribution."""

    name = "sms-emoa"
    version = "sms-emoa-1"

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], *, population: int = 12, mutation_only: float = 0.3
    ) -> None:
        super().__init__(space, objectives, worth=contributions, population=population, mutation_only=mutation_only)
