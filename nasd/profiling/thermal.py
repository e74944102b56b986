"""How hot the machine is, how fast it is clocked and what holds it back, as far as it tells. Reads files of Linux only.

What the system does not tell is left out: an absent key, never a guess.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nasd.domain.measurement import JsonObject
from nasd.profiling.gpu import first_gpu, is_on_gpu

_ROOT = Path("/")
_OF_THE_PROCESSOR = ("cpu", "pkg", "soc", "core", "k10", "zenpower", "tj")
_PI_BITS = {0: "under_voltage", 1: "frequency_capped", 2: "throttled", 3: "soft_temperature_limit"}


def now(root: Path = _ROOT) -> dict[str, float]:
    """`temperature_c` (of the hottest sensor of the processor) and `frequency_mhz` (mean of all cores)."""
    found: dict[str, float] = {}
    if temperatures := list(_temperatures(root)):
        found["temperature_c"] = max(temperatures)
    folder = root / "sys/devices/system/cpu"
    clocks = [khz for path in folder.glob("cpu[0-9]*/cpufreq/scaling_cur_freq") if (khz := _number(path)) is not None]
    if clocks:
        found["frequency_mhz"] = round(sum(clocks) / len(clocks) / 1000, 1)
    return found


def settings(root: Path = _ROOT) -> JsonObject:
    """What is set rather than happens: `governor`, `frequency_limit_mhz`, `power_mode` (a Jetson's, a laptop's)."""
    policy = root / "sys/devices/system/cpu/cpu0/cpufreq"
    limit = _number(policy / "scaling_max_freq")
    found: dict[str, object] = {
        "governor": _text(policy / "scaling_governor"),
        "frequency_limit_mhz": None if limit is None else limit / 1000,
        "power_mode": _text(root / "var/lib/nvpmodel/status") or _text(root / "sys/firmware/acpi/platform_profile"),
    }
    return {name: value for name, value in found.items() if value is not None}


def throttling(root: Path = _ROOT) -> JsonObject:
    """What holds the processor back: `throttled` (words of a Raspberry Pi's firmware), `throttle_events` (counted)."""
    found: dict[str, object] = {}
    flags = _text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if flags is not None:
        with contextlib.suppress(ValueError):
            bits = int(flags, 16)
            found["throttled"] = [word for bit, word in _PI_BITS.items() if bits >> bit & 1]
    counted = root / "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    if (events := _number(counted)) is not None:
        found["throttle_events"] = int(events)
    return found


@dataclass(frozen=True, slots=True)
class Watch:
    """What tells of the processor that a runner computes on."""

    now: Callable[[], dict[str, float]]
    throttling: Callable[[], JsonObject]
    settings: Callable[[], JsonObject]

    @classmethod
    def of(cls, conditions: JsonObject) -> Watch:
        """The GPU, where the runner of `conditions` computes there and one tells; the machine's processor else."""
        gpu = first_gpu() if is_on_gpu(conditions) else None
        if gpu is not None:
            return cls(gpu.now, gpu.throttling, dict)
        return cls(now, throttling, settings)


def _temperatures(root: Path) -> Iterator[float]:
    """Degrees Celsius. Other sensors (disks, radios) are not asked: that takes milliseconds and says nothing here."""
    for named in (*root.glob("sys/class/thermal/thermal_zone*/type"), *root.glob("sys/class/hwmon/hwmon*/name")):
        name = (_text(named) or "").lower()
        if any(mark in name for mark in _OF_THE_PROCESSOR):
            for sensor in (named.with_name("temp"), *named.parent.glob("temp*_input")):
                if (milli := _number(sensor)) is not None:
                    yield milli / 1000


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
