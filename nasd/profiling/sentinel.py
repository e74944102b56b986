"""The sentinel: one fixed small computation whose time says what state the host was in while something was measured.

A processor has slow phases (a virtual one shares its core, a hot one is throttled) that no statistic within one window
shows. They move the sentinel as they move a network. Readings above the best one by more than 5 % void the windows
beside them, unless the device has been like that for a while: then that state is the device's own.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasd.profiling.machine import processor

VERSION = "sentinel-1"  # another computation needs another version: readings of two do not compare
MOST_DRIFT = 0.05
_SIZE, _N_PRODUCTS = 64, 40  # OpenBLAS computes products of 64 with one thread, whatever it is allowed
_N_SUMS, _N_NUMBERS = 8, 1 << 16  # 256 KiB an array: the second-level cache takes part
_CALLS = 4  # of one reading; their least counts
_SEED = 20_260_101
_LEAST_READINGS, _LASTING_S = 12, 10.0  # of a state that is the device's own; two measurements make 20 readings
_LONGEST_HISTORY = 512


@dataclass(frozen=True, slots=True)
class Reading:
    """Milliseconds of the fixed computation, at a moment of the monotonic clock."""

    at_s: float
    ms: float


def lasting_level(readings: Sequence[Reading]) -> float | None:
    """The median of the last ten seconds' readings in ms, where they agree within 5 %; None: there is no such state.

    Args:
        readings: in order of time. A tenth at each end may stray: any reading can be preempted.
    """
    if not readings or readings[-1].at_s - readings[0].at_s < _LASTING_S:
        return None
    begin = readings[-1].at_s - _LASTING_S
    last = [reading.ms for reading in readings if reading.at_s >= begin]
    if len(last) < _LEAST_READINGS:
        return None
    low, median, high = np.quantile(last, (0.1, 0.5, 0.9))
    return float(median) if high <= low * (1 + MOST_DRIFT) else None


class Sentinel:
    """One host's sentinel as this process sees it. Not shared between threads.

    Attributes:
        best_ms: the least reading there ever was: of this process, or of any on this host where `file` is kept.
    """

    def __init__(self, file: Path | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`file` keeps the host's best reading; damaged, missing or of another processor, it says nothing."""
        self._run = _computation()
        self._file, self._clock = file, clock
        self._history: deque[Reading] = deque(maxlen=_LONGEST_HISTORY)
        self.best_ms = self._recall()

    def read(self) -> float:
        """Milliseconds; takes about five times as long."""
        self._run()
        times = []
        for _ in range(_CALLS):
            before = time.perf_counter_ns()
            self._run()
            times.append(time.perf_counter_ns() - before)
        return self.note(min(times) / 1e6)

    def note(self, ms: float) -> float:
        """Add a reading to the history; its ms."""
        self._history.append(Reading(self._clock(), ms))
        if ms < self.best_ms:
            is_news = ms < 0.99 * self.best_ms
            self.best_ms = ms
            if is_news:
                self._remember()
        return ms

    def drift(self, ms: float) -> float:
        """By what share a reading is above the best one."""
        return ms / self.best_ms - 1

    def lasting_factor(self) -> float | None:
        """How many times the best reading the device's own state of the last seconds is; None where it has none."""
        level = lasting_level(self._history)
        return None if level is None else level / self.best_ms

    def _recall(self) -> float:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if self._file is not None:
                descriptor = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW)
                with os.fdopen(descriptor) as file:
                    kept = json.load(file)
                if kept["of"] == _identity() and kept["best_ms"] > 0:
                    return float(kept["best_ms"])
        return float("inf")

    def _remember(self) -> None:
        if self._file is None:
            return
        new = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump({"of": _identity(), "best_ms": self.best_ms}, file)
            os.replace(new, self._file)  # noqa: PTH105 - whole or not at all


@functools.cache
def sentinel_of(folder: Path | None = None) -> Sentinel:
    """This process's sentinel; its host's best reading is kept in `folder`, the one that the host's lock is in."""
    return Sentinel(None if folder is None else folder / f"nasd-{VERSION}-{os.getuid()}.json")


def _identity() -> str:
    return f"{VERSION}, {processor()}, numpy {np.__version__}"


def _computation() -> Callable[[], None]:
    rng = np.random.default_rng(_SEED)
    left, right = rng.standard_normal((2, _SIZE, _SIZE), dtype=np.float32)
    numbers = rng.standard_normal(_N_NUMBERS, dtype=np.float32)
    product, total = np.empty_like(left), np.zeros_like(numbers)

    def run() -> None:
        for _ in range(_N_PRODUCTS):
            np.matmul(left, right, out=product)
        for _ in range(_N_SUMS):
            np.add(numbers, numbers, out=total)

    return run
