"""A sustained run for limits: one network again and again for as long as asked, and the p95 of its calls.

Calls in a row resemble each other (a device heats up, a neighbour stays a while), so that the usual interval of a
quantile is far too narrow. Here stretches of calls are resampled whole, and the interval is never narrower than the one
for independent calls.
"""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasd.domain.measurement import UNITS, Measurement
from nasd.profiling.machine import Load, summed
from nasd.profiling.thermal import Watch
from nasd.profiling.windows import warm_up
from nasd.runtimes.base import Runner

_Q = 0.95
_SLICE_S = 0.5  # one stay in the lock; between two of them orders are obeyed and trainers take a step
_WARM_UP_S = 0.05
_MOST_TIMES_LONGER = 3  # a slow network gets longer to make enough calls
_BLOCKS, _DRAWS, _BINS = 60, 1000, 2000
_SURE = (0.025, 0.975)
_SURE_SD = 1.96
LEAST_CALLS = 80  # fewer have no upper end: their largest may lie below the quantile


@dataclass(frozen=True, slots=True)
class Interval:
    """A quantile of calls with its 95 % interval, ms. `high`: None for fewer than 80 calls."""

    value: float
    low: float
    high: float | None

    @property
    def width(self) -> float | None:
        return None if self.high is None else self.high - self.low


def p95_interval(calls_ms: NDArray[np.float64]) -> Interval:
    """The 95th percentile of calls in the order they were made, at least one.

    The wider of two at either end: order statistics under independence (normal approximation of the binomial ranks),
    and a bootstrap of 60 blocks of neighbouring calls (Künsch 1989, without overlap), which keeps their dependence.
    """
    n = len(calls_ms)
    ordered = np.sort(calls_ms)
    value = float(np.quantile(ordered, _Q))
    step = _SURE_SD * math.sqrt(n * _Q * (1 - _Q))
    below, above = math.floor(n * _Q - step), math.ceil(n * _Q + step)
    low, high = float(ordered[max(below, 0)]), float(ordered[min(above, n - 1)])
    block_low, block_high = _bootstrapped(calls_ms, ordered)
    return Interval(
        value=value,
        low=min(low, block_low, value),
        high=max(high, block_high, value) if n >= LEAST_CALLS else None,
    )


def _bootstrapped(calls_ms: NDArray[np.float64], ordered: NDArray[np.float64]) -> tuple[float, float]:
    """Ends of the block bootstrap. Calls are counted in bins of equal counts: a minute of short calls is millions."""
    n, n_blocks = len(calls_ms), min(_BLOCKS, len(calls_ms))
    edges = np.unique(ordered[np.linspace(0, n - 1, min(_BINS, n)).round().astype(int)])
    bins = np.searchsorted(edges, calls_ms)  # (n,): the edge at or above each call
    blocks = np.arange(n) * n_blocks // n  # (n,): which block each call is in
    flat = np.bincount(blocks * len(edges) + bins, minlength=n_blocks * len(edges))
    counts = flat.reshape(n_blocks, len(edges)).astype(np.float64)
    rng = np.random.default_rng(n)  # the same calls have the same interval
    weights = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=_DRAWS).astype(np.float64)
    summed_up = np.cumsum(weights @ counts, axis=1)  # (draws, edges)
    quantiles = edges[(summed_up >= _Q * summed_up[:, -1:]).argmax(axis=1)]
    low, high = np.quantile(quantiles, _SURE)
    return float(low), float(high)


def sustained(runner: Runner, seconds: float, *, exclusive: Callable[[], AbstractContextManager[None]]) -> Measurement:
    """`latency_p95_ms`: the p95 of `seconds` of calls, `low` and `high` of its interval in the conditions.

    Up to three times as long where it takes that to make 80 calls; fewer have `high` None.
    """
    warm_up(runner.run, seconds=_WARM_UP_S)
    watch = Watch.of(runner.conditions)
    calls, loads, states, began = array("d"), [], [watch.now()], time.perf_counter()
    while _is_short(time.perf_counter() - began, seconds, len(calls)):
        with exclusive():
            load = Load.start()
            _run_for(runner.run, _SLICE_S, calls)
            loads.append(load.stop())
        states.append(watch.now())
    found = p95_interval(np.frombuffer(calls))
    return Measurement(
        name="latency_p95_ms",
        value=found.value,
        unit=UNITS["latency_p95_ms"],
        spread=found.width,
        n=len(calls),
        conditions={
            **runner.conditions,
            **watch.settings(),
            **watch.throttling(),
            **summed(loads),
            **_first_and_last(states),
            "low": found.low,
            "high": found.high,
            "seconds": round(time.perf_counter() - began, 3),
        },
    )


def _is_short(elapsed_s: float, seconds: float, n: int) -> bool:
    return elapsed_s < seconds or (n < LEAST_CALLS and elapsed_s < _MOST_TIMES_LONGER * seconds)


def _run_for(run: Callable[[], None], seconds: float, calls: array[float]) -> None:
    clock = time.perf_counter_ns
    end = clock() + int(seconds * 1e9)
    after = 0
    while after < end:
        before = clock()
        run()
        after = clock()
        calls.append((after - before) / 1e6)


def _first_and_last(states: list[dict[str, float]]) -> dict[str, float]:
    """How the device was at the beginning and at the end: what it warmed up to."""
    first, last = states[0], states[-1]
    return {**last, **{f"{name}_at_first": value for name, value in first.items()}}
