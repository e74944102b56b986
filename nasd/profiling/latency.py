"""Latency from single timed calls in short windows, reduced by low quantiles that a busy neighbour hardly moves.

A call that was preempted reads many times too long; one such call spoils a mean or a timed block of calls, but not a
low quantile. So every call is timed alone, each window answers with its 5th percentile, and the value is the least of
the windows: a phase in which the whole machine was slow spoils its windows only, unless it covers all of them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nasd.nets.runtime import synchronise

_LEAST_WARM_UP_CALLS = 10
_LEAST_CALLS = 3  # of a window, however slow the network
_UNTIMED_CALLS = 2  # while we waited to be alone, others emptied the caches
_LOW = 0.05


@dataclass(frozen=True, slots=True)
class Window:
    """Milliseconds of single calls, one after the other."""

    calls_ms: tuple[float, ...]

    def quantile(self, q: float) -> float:
        """Linearly interpolated, ms."""
        return float(np.quantile(self.calls_ms, q))

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


def estimate(windows: Sequence[Window]) -> Estimate:
    """The least of the windows' 5th percentiles."""
    lows = [window.quantile(_LOW) for window in windows]
    quarter, three_quarters = np.quantile(lows, (0.25, 0.75))
    return Estimate(
        value_ms=min(lows),
        spread_ms=float(three_quarters - quarter) if len(lows) > 1 else None,
        n=sum(len(window.calls_ms) for window in windows),
    )


@torch.inference_mode()
def warm_up(module: nn.Module, inputs: Tensor, *, seconds: float) -> None:
    """Call until `seconds` have passed, ten times at least: the first calls choose kernels and fill caches."""
    end = time.perf_counter() + seconds
    n = 0
    while n < _LEAST_WARM_UP_CALLS or time.perf_counter() < end:
        module(inputs)
        synchronise(inputs.device)
        n += 1


@torch.inference_mode()
def timed_windows(module: nn.Module, inputs: Tensor, *, n: int, seconds: float) -> tuple[Window, ...]:
    """`n` windows of `seconds` each, a call more where the last one started in time, three calls at least."""
    with _no_collection():
        for _ in range(_UNTIMED_CALLS):
            module(inputs)
        return tuple(_window(module, inputs, seconds) for _ in range(n))


def _window(module: nn.Module, inputs: Tensor, seconds: float) -> Window:
    clock, device = time.perf_counter_ns, inputs.device
    calls: list[float] = []
    end = clock() + int(seconds * 1e9)
    after = 0
    while after < end or len(calls) < _LEAST_CALLS:
        synchronise(device)  # what was launched before must not run into our time
        before = clock()
        module(inputs)
        synchronise(device)  # kernels are asynchronous: without this we time the launch
        after = clock()
        calls.append((after - before) / 1e6)
    return Window(tuple(calls))


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
