"""Measuring a runner's latency like a laboratory: windows spread in time, each between two readings of the sentinel.

Windows are separate stays in the host's lock, so that trainers go on in between. A window is void where the host was
slower than at its best beside it; more are taken instead, up to a bound, and what is still in doubt then is marked.
Imports no torch: whatever runs the network is behind `Runner`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from nasd.domain.measurement import UNITS, JsonObject, Measurement
from nasd.domain.study import MeasureSpec
from nasd.profiling import sentinel as sentinels
from nasd.profiling.machine import Load, in_front, preemptions, summed
from nasd.profiling.sentinel import MOST_DRIFT, Sentinel, sentinel_of
from nasd.profiling.thermal import Watch
from nasd.profiling.windows import Estimate, Window, estimate, timed_window, warm_up
from nasd.runtimes.base import Runner

SPACING_S = 0.03  # between two windows: longer than a neighbour's turn on the core, short beside a training
_MOST_WINDOWS = 2  # times those asked for
_LONGEST_IN_FRONT_S = 0.02  # one call
_MOST_MORE_S = 1.0  # alone on the host for the additional ones

Exclusive = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Section:
    """One stay in the host's lock.

    Attributes:
        sentinel_ms: readings right before and right after the window.
        preemptions: how often the window lost its core.
        load: what others did meanwhile.
        state: temperature and clock right after it.
        is_front: whether it ran before all ordinary processes.
    """

    window: Window
    sentinel_ms: tuple[float, float]
    preemptions: int = 0
    load: dict[str, float] = field(default_factory=dict)
    state: dict[str, float] = field(default_factory=dict)
    is_front: bool = False

    @property
    def worst_ms(self) -> float:
        return max(self.sentinel_ms)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What sections come to.

    Attributes:
        kept: that the value is of.
        factor: how many times its best reading the sentinel's was in the state that they are of.
        unsteady: why the value is in doubt; None: it is not.
    """

    kept: tuple[Section, ...]
    estimate: Estimate
    factor: float
    unsteady: str | None


def judge(
    sections: Sequence[Section], *, best_ms: float, lasting: float | None, windows: int, max_spread: float
) -> Verdict:
    """Which of `sections` count.

    Those beside which the sentinel read at most 5 % above its best, where there are `windows` of them. Else those in
    the device's own lasting state, where it is in one and there are as many. Else, in doubt, those at the best where
    there are half as many, and the `windows` least disturbed where there are not.

    Args:
        best_ms: the sentinel's.
        lasting: factor of the device's own state (`Sentinel.lasting_factor`).
    """
    kept, factor, doubt = _undisturbed(sections, best_ms=best_ms, lasting=lasting, windows=windows)
    found = estimate([section.window for section in kept])
    best = min(kept, key=lambda section: section.window.low_ms)
    if doubt is None and best.preemptions >= len(best.window.calls_ms):
        doubt = "every call lost the core to another process"
    if doubt is None and found.relative_spread > max_spread:
        doubt = f"windows spread {found.relative_spread:.0%}"
    return Verdict(kept=tuple(kept), estimate=found, factor=factor, unsteady=doubt)


def _undisturbed(
    sections: Sequence[Section], *, best_ms: float, lasting: float | None, windows: int
) -> tuple[Sequence[Section], float, str | None]:
    """(sections, factor of their state, why in doubt)."""
    at_best = [section for section in sections if section.worst_ms <= best_ms * (1 + MOST_DRIFT)]
    if len(at_best) >= windows:
        return at_best, 1.0, None
    if lasting is not None:
        level = best_ms * lasting
        alike = [section for section in sections if _is_within(section, level)]
        if len(alike) >= windows:
            return alike, lasting, None
    if 2 * len(at_best) >= windows:
        return at_best, 1.0, f"{len(at_best)} of {windows} windows without drift"
    least = sorted(sections, key=lambda section: section.worst_ms)[:windows]
    factor = max(section.worst_ms for section in least) / best_ms
    return least, factor, f"sentinel drift {factor - 1:.0%}"


def _is_within(section: Section, level_ms: float) -> bool:
    return all(level_ms / (1 + MOST_DRIFT) <= ms <= level_ms * (1 + MOST_DRIFT) for ms in section.sentinel_ms)


def measure_runner(
    runner: Runner,
    how: MeasureSpec,
    *,
    exclusive: Exclusive,
    sentinel: Sentinel | None = None,
    spacing_s: float = SPACING_S,
) -> Measurement:
    """`latency_ms` of one pass: the least of the windows' 5th percentiles, spread and all windows in its conditions.

    Args:
        exclusive: entered for each window; nothing else of nasd's runs on the host within.
        sentinel: None: this process's own, which knows no other process's readings.
    """
    sentinel = sentinel or sentinel_of()
    call_s = warm_up(runner.run, seconds=how.warmup_s)
    watch = Watch.of(runner.conditions)
    front = in_front if _may_be_in_front(runner, call_s) else contextlib.nullcontext

    def another() -> Section:
        return section(runner.run, how.window_s, exclusive=exclusive, sentinel=sentinel, front=front, watch=watch)

    sections = [another()]
    while (verdict := _judged(sections, sentinel, how)) is None:
        time.sleep(spacing_s)
        sections.append(another())
    found = verdict.estimate
    return Measurement(
        name="latency_ms",
        value=found.value_ms,
        unit=UNITS["latency_ms"],
        spread=found.spread_ms,
        n=found.n,
        conditions={**runner.conditions, **conditions_of(sections, verdict, sentinel, watch)},
    )


def _may_be_in_front(runner: Runner, call_s: float) -> bool:
    """With several threads it would wait for those that are not; and a long one would keep others off for too long."""
    asked = runner.conditions
    return asked.get("threads") == 1 and asked.get("device") == "cpu" and call_s <= _LONGEST_IN_FRONT_S


def section(
    run: Callable[[], None],
    window_s: float,
    *,
    exclusive: Exclusive,
    sentinel: Sentinel,
    front: Callable[[], AbstractContextManager[object]],
    watch: Watch,
) -> Section:
    """One window alone on the host, between two readings; `front` is entered within."""
    with exclusive(), front() as is_front:
        load = Load.start()
        before = sentinel.read()
        lost = preemptions()
        window = timed_window(run, seconds=window_s)
        lost = preemptions() - lost
        after = sentinel.read()
        others = load.stop()
    state = watch.now()  # sensors may be slow: nobody waits for them
    return Section(window, (before, after), lost, others, state, is_front=bool(is_front))


def _judged(sections: Sequence[Section], sentinel: Sentinel, how: MeasureSpec) -> Verdict | None:
    """None: more windows are wanted."""
    if len(sections) < how.windows:
        return None
    verdict = judge(
        sections,
        best_ms=sentinel.best_ms,
        lasting=sentinel.lasting_factor(),
        windows=how.windows,
        max_spread=how.max_spread,
    )
    more_ms = sum(sum(one.window.calls_ms) for one in sections[how.windows :])
    is_spent = len(sections) >= _MOST_WINDOWS * how.windows or more_ms >= _MOST_MORE_S * 1000
    return verdict if verdict.unsteady is None or is_spent else None


def conditions_of(sections: Sequence[Section], verdict: Verdict, sentinel: Sentinel, watch: Watch) -> JsonObject:
    """What the windows say of themselves, and of the machine meanwhile."""
    clocks = [one.state["frequency_mhz"] for one in verdict.kept if "frequency_mhz" in one.state]
    heats = [one.state["temperature_c"] for one in verdict.kept if "temperature_c" in one.state]
    return {
        **watch.settings(),
        **watch.throttling(),
        **({"frequency_mhz": round(sum(clocks) / len(clocks), 1)} if clocks else {}),
        **({"temperature_c": max(heats)} if heats else {}),
        "real_time": all(one.is_front for one in verdict.kept),
        **summed([one.load for one in sections]),
        "sentinel": {
            "version": sentinels.VERSION,
            "best_ms": round(sentinel.best_ms, 4),
            "factor": round(verdict.factor, 3),
        },
        "windows": [_shown(one, sentinel, is_kept=any(one is kept for kept in verdict.kept)) for one in sections],
        **({} if verdict.unsteady is None else {"unsteady": verdict.unsteady}),
    }


def _shown(one: Section, sentinel: Sentinel, *, is_kept: bool) -> JsonObject:
    return {
        **one.window.summary(),
        "preemptions": one.preemptions,
        **one.load,
        **one.state,
        "sentinel_drift": [round(sentinel.drift(ms), 3) for ms in one.sentinel_ms],
        **({} if is_kept else {"is_void": True}),
    }
