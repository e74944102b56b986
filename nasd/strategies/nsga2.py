"""Steady-state NSGA-II: of the last rank the most crowded member leaves.

Source: Deb et al. 2002, NSGA-II, sections III-B (crowding) and VI (constrained domination); Durillo et al. 2009 for the
steady-state form.
"""

from __future__ import annotations

from nasd.strategies.steady import SteadyState
from nasd.strategies.worth import crowding


class Nsga2(SteadyState):
    """Steady-state evolution by rank and crowding distance."""

    name = "nsga2"
    version = "nsga2-2"
    worth = staticmethod(crowding)
