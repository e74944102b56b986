"""Energy of a forward pass: a meter's joules over a steady run, less what the machine takes when idle.

Counters move every 1 to 100 ms, so that a stretch begins and ends at a movement of the counter where it moves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from nasd.domain.measurement import UNITS, JsonObject, Measurement
from nasd.errors import WorldFault
from nasd.profiling.machine import Load
from nasd.profiling.meters import Meter, available, open_meter
from nasd.profiling.windows import warm_up
from nasd.runtimes.base import Runner

__all__ = ["available", "measure_energy", "open_meter"]

_STRETCHES = 4  # of the steady run: their differences are the spread
_LEAST_S = 1.0  # of the steady run
_IDLE_S = 0.5  # before and after it
_EDGE_S = 0.15  # the slowest counter moves more often
_PAUSE_S = 0.001
_MOST_IDLE_DRIFT = 0.2  # of the net power, between the idle stretches


@dataclass(frozen=True, slots=True)
class Stretch:
    """Joules and passes within a time."""

    seconds: float
    joules: float
    n_runs: int

    @property
    def watts(self) -> float:
        return self.joules / self.seconds


def measure_energy(
    runner: Runner, meter: Meter, *, exclusive: Callable[[], AbstractContextManager[None]], seconds: float = 2.0
) -> Measurement:
    """`energy_mj` of one sample: the meter's joules in `seconds` (one at least) of passes, less the idle power before
    and after, by the samples that were passed through.

    Args:
        exclusive: entered once, for all of it: idle is idle only while nobody trains.

    Raises:
        WorldFault: `meter`, it can't be read, or the network takes no more than idling as far as it can tell.
    """
    warm_up(runner.run, seconds=0.05)
    with exclusive():
        load = Load.start()
        before = _stretch(meter, _rest, _IDLE_S)
        steady = [_stretch(meter, runner.run, max(seconds, _LEAST_S) / _STRETCHES) for _ in range(_STRETCHES)]
        after = _stretch(meter, _rest, _IDLE_S)
        others = load.stop()
    return net_energy(
        before,
        steady,
        after,
        n_samples=runner.n_samples,
        conditions={**runner.conditions, **others, "source": meter.source, "scope": meter.scope},
    )


def net_energy(
    before: Stretch, steady: list[Stretch], after: Stretch, *, n_samples: int, conditions: JsonObject
) -> Measurement:
    """`energy_mj` of a sample from what was read. Pure.

    Raises:
        WorldFault: `meter`, no more than idling.
    """
    idle_w = (before.joules + after.joules) / (before.seconds + after.seconds)
    each_mj = [1000 * (one.joules - idle_w * one.seconds) / (one.n_runs * n_samples) for one in steady]
    seconds, n_runs = sum(one.seconds for one in steady), sum(one.n_runs for one in steady)
    net_w = sum(one.joules for one in steady) / seconds - idle_w
    if net_w <= 0:
        raise WorldFault(
            "meter", f"the energy meter {conditions['source']} sees no difference from idling, {idle_w:.2f} W"
        )
    drift = abs(after.watts - before.watts) / net_w
    return Measurement(
        name="energy_mj",
        value=1000 * net_w * seconds / (n_runs * n_samples),
        unit=UNITS["energy_mj"],
        spread=statistics.stdev(each_mj) if len(each_mj) > 1 else None,
        n=n_runs,
        conditions={
            **conditions,
            "idle_subtracted": True,
            "idle_w": [round(before.watts, 3), round(after.watts, 3)],
            "net_w": round(net_w, 3),
            "seconds": round(seconds, 3),
            **({"unsteady": f"idle power drifted by {drift:.0%} of the net power"} if drift > _MOST_IDLE_DRIFT else {}),
        },
    )


def _rest() -> None:
    time.sleep(_PAUSE_S)


def _stretch(meter: Meter, act: Callable[[], None], seconds: float) -> Stretch:
    """`act` again and again for `seconds`, from one movement of the counter to another."""
    _, first, began = _until_it_moves(meter, act)
    n, end = 0, began + seconds
    while time.perf_counter() < end:
        act()
        n += 1
    more, last, ended = _until_it_moves(meter, act)
    return Stretch(seconds=ended - began, joules=last - first, n_runs=n + more)


def _until_it_moves(meter: Meter, act: Callable[[], None]) -> tuple[int, float, float]:
    """(calls of `act`, joules, moment); gives up after 0.15 s on a counter that stands still."""
    n, before, moment = 0, meter.joules(), time.perf_counter()
    end = moment + _EDGE_S
    while True:
        act()
        n += 1
        now, moment = meter.joules(), time.perf_counter()
        if now != before or moment > end:
            return n, now, moment
