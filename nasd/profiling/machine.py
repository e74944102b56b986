"""What else the machine was doing while we measured, as far as it says so, and what processor it has."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")  # Linux
_CPUINFO = Path("/proc/cpuinfo")


@functools.cache
def processor() -> str:
    """The processor's model, or at least its family."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, platform.processor() or platform.machine())


@dataclass(frozen=True, slots=True)
class Load:
    """A moment to compare with: processor seconds of the machine and of this process."""

    at: float
    own_s: float
    busy_s: float | None  # None where the system does not say
    steal_s: float | None

    @classmethod
    def start(cls) -> Load:
        busy, steal = _machine_seconds()
        return cls(at=time.perf_counter(), own_s=time.process_time(), busy_s=busy, steal_s=steal)

    def stop(self) -> dict[str, float]:
        """Cores that others kept busy and that the hypervisor withheld since `start`.

        The system counts in ticks of 10 ms, so a short stretch is read coarsely. Empty where it does not count.
        """
        now = Load.start()
        if self.busy_s is None or now.busy_s is None or self.steal_s is None or now.steal_s is None:
            return {}
        wall = max(now.at - self.at, 1e-9)
        others = now.busy_s - self.busy_s - (now.own_s - self.own_s)
        return {
            "exclusive_s": round(wall, 4),
            "others_cores": round(max(others, 0.0) / wall, 3),
            "steal_cores": round((now.steal_s - self.steal_s) / wall, 3),
        }


@contextlib.contextmanager
def in_front() -> Iterator[bool]:
    """Before all ordinary processes on this thread's core, where the system lets us; whether it does.

    For milliseconds only: meanwhile nobody else gets the core. Being nicer than others has no such effect, since the
    kernel's autogroups weigh sessions and not processes. Threads that are started within stay ordinary.
    """
    if sys.platform != "linux":
        yield False
        return
    before, settings = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:  # an ordinary user, most containers
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, before, settings)


def preemptions() -> int:
    """How often this thread lost its core against its will so far; the process where only that is known."""
    return resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nivcsw


def summed(loads: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Several stretches as one; a stretch that the system did not count is left out."""
    counted = [load for load in loads if load]
    seconds = sum(load["exclusive_s"] for load in counted)
    if not seconds:
        return {}
    cores = ("others_cores", "steal_cores")
    means = {name: sum(load[name] * load["exclusive_s"] for load in counted) / seconds for name in cores}
    return {"exclusive_s": round(seconds, 4), **{name: round(mean, 3) for name, mean in means.items()}}


def _machine_seconds() -> tuple[float | None, float | None]:
    """(busy, steal) over all cores since boot."""
    try:
        with _STAT.open() as stat:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    except (OSError, ValueError):
        return None, None
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks
