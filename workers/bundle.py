"""Bundles: how many very short evaluations are leased and reported at once, so that a commit pays for several."""

from __future__ import annotations

from collections import deque
from statistics import mean

SHORT_S = 0.01  # an evaluation below this costs less than its own two commits; also when `on_long` is called
_HOLD_S = 0.03  # of work in one bundle at most: how long a result may wait for the others
_MOST = 16
_REMEMBERED = 8


class Bundling:
    """Decides from the durations of the last evaluations. One that is not short ends bundling until several were."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    def note(self, seconds: float) -> None:
        """An evaluation took so long, seen from outside."""
        self._seconds.append(seconds)

    @property
    def n(self) -> int:
        """How many to lease at once; 1 until enough short ones were seen."""
        if len(self._seconds) < _REMEMBERED or max(self._seconds) >= SHORT_S:
            return 1
        return max(1, min(_MOST, int(_HOLD_S / max(mean(self._seconds), 1e-4))))
