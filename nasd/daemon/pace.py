"""How fast results arrive, by the planner's own clock: what the look-ahead is made from."""

from __future__ import annotations

from collections import deque

REMEMBERED = 12  # ticks that brought facts: few, so that the look-ahead is deep soon after a slow start


class Pace:
    """Seconds of one worker that a trial takes, estimated from the recent rate of facts."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)

    def note(self, now: float, n_facts: int) -> None:
        if n_facts:
            self._ticks.append((now, n_facts))

    def evaluation_s(self, n_workers: int) -> float | None:
        """None until two ticks brought facts.

        Where workers wait for proposals this is too long, but then a deeper look-ahead makes it shorter: it converges.
        """
        if len(self._ticks) < 2:
            return None
        span = self._ticks[-1][0] - self._ticks[0][0]
        n_facts = sum(n for _, n in self._ticks) - self._ticks[0][1]  # the first tick only starts the clock
        return span * max(1, n_workers) / n_facts
