"""What else the machine was doing while we measured, as far as it says so, and what processor it has."""

from __future__ import annotations

import functools
import os
import platform
import time
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


def _machine_seconds() -> tuple[float | None, float | None]:
    """(busy, steal) over all cores since boot."""
    try:
        with _STAT.open() as stat:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    except (OSError, ValueError):
        return None, None
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks
