"""Latency from single timed calls in short windows, reduced by low quantiles that a busy neighbour hardly moves.

A call that was preempted reads many times too long; one such call spoils a mean or a timed block of calls, but not a
low quantile. So every call is timed alone, each window answers with its 5th percentile, and the value is the least of
the windows: a phase in which the whole machine was slow spoils its windows only, unless it covers all of them.

Knows nothing of what it times but that a call returns when it is finished.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

_LEAST_WARM_UP_CALLS = 10
_LEAST_CALLS = 3  # of a window, however slow the network
_USUAL_CALLS, _LONGEST_S = 5, 0.2  # of a window at least, while it takes no longer
_UNTIMED_CALLS = 2  # while we waited to be alone, others emptied the caches
_LOW = 0.05


@dataclass(frozen=True, slots=True)
class Window:
    """Milliseconds of single calls, one after the other."""

    calls_ms: Sequence[float]

    def quantile(self, q: float) -> float:
        """Linearly interpolated, ms."""
        return float(np.quantile(np.asarray(self.calls_ms), q))

    @property
    def low_ms(self) -> float:
        """The 5th percentile: what the window answers with."""
        return self.quantile(_LOW)

    def summary(self) -> dict[str, float]:
        """For the conditions: ms, to the nearest 0.1 us."""
        shown = {"min": 0.0, "p5": _LOW, "median": 0.5, "p95": 0.95}
        return {"n": len(self.calls_ms), **{name: round(self.quantile(q), 4) for name, q in shown.items()}}


@dataclass(frozen=True, slots=True)
class Estimate:
    """`spread_ms`: the interquartile range of the windows' 5th percentiles; None for one window. `n`: timed calls."""

    value_ms: float
    spread_ms: float | None
    n: int

    @property
    def relative_spread(self) -> float:
        """0 where one window has none."""
        return (self.spread_ms or 0.0) / self.value_ms


def estimate(windows: Sequence[Window]) -> Estimate:
    """The least of the windows' 5th percentiles."""
    lows = [window.low_ms for window in windows]
    quarter, three_quarters = np.quantile(lows, (0.25, 0.75))
    return Estimate(
        value_ms=min(lows),
        spread_ms=float(three_quarters - quarter) if len(lows) > 1 else None,
        n=sum(len(window.calls_ms) for window in windows),
    )


def warm_up(run: Callable[[], None], *, seconds: float) -> float:
    """Call until `seconds` have passed, ten times at least: the first calls choose kernels and fill caches.

    Returns:
        Seconds of the quickest call.
    """
    now = time.perf_counter()
    end, n, quickest = now + seconds, 0, float("inf")
    while n < _LEAST_WARM_UP_CALLS or now < end:
        before = now
        run()
        now = time.perf_counter()
        quickest = min(quickest, now - before)
        n += 1
    return quickest


def timed_window(run: Callable[[], None], *, seconds: float) -> Window:
    """`seconds` of calls, a call more where the last one started in time.

    At least five calls, where they take less than 0.2 s, and three at any rate: a network may be slower than a window.
    """
    clock = time.perf_counter_ns
    calls = array("d")
    for _ in range(_UNTIMED_CALLS):
        run()
    with _no_collection():
        began = after = clock()
        end, latest = began + int(seconds * 1e9), began + int(_LONGEST_S * 1e9)
        while after < end or len(calls) < (_USUAL_CALLS if after < latest else _LEAST_CALLS):
            before = clock()
            run()
            after = clock()
            calls.append((after - before) / 1e6)
    return Window(calls)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector's pauses out of the windows."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
