"""SMS-EMOA: of the last rank the member that adds least to its hypervolume leaves.

Source: Beume, Naujoks and Emmerich 2007, SMS-EMOA: multiobjective selection based on dominated hypervolume, section 3.
Theirs draws parents evenly; here they win the same tournaments as NSGA-II's, with the contribution for the distance.
"""

from __future__ import annotations

from nasd.strategies.steady import SteadyState
from nasd.strategies.worth import contributions


class SmsEmoa(SteadyState):
    """Steady-state evolution by rank and hypervolume contribution."""

    name = "sms-emoa"
    version = "sms-emoa-1"
    worth = staticmethod(contributions)
