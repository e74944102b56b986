"""What the system says of this machine's hardware. Every reader answers None, or nothing, where it does not say."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

_SYS, _PROC, _ETC = Path("/sys"), Path("/proc"), Path("/etc")
_SMI = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version,power.limit", "--format=csv,noheader,nounits"]
_MIB, _KHZ_OF_MHZ = 1 << 20, 1000
_ASKING_S = 10.0
_NO_LIMIT = 1 << 60  # what cgroup v1 says instead of "max"


def cpu_model() -> str | None:
    """The processor's name, or at least its family."""
    if sys.platform == "linux":
        for line in _read(_PROC / "cpuinfo").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "Hardware"):
                return value.strip()
    if sys.platform == "darwin" and (name := _said(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"])):
        return name
    return platform.processor() or None


def board(proc: Path = _PROC) -> str | None:
    """A single-board computer's own name."""
    return _read(proc / "device-tree/model").strip("\x00\n ") or None


def memory_mib(sys_folder: Path = _SYS) -> int:
    """The machine's, or its container's where that is less."""
    total = int(psutil.virtual_memory().total)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of cgroup v2, v1
        text = _read(sys_folder / "fs/cgroup" / name).strip()
        if text.isdigit() and int(text) < _NO_LIMIT:
            total = min(total, int(text))
    return total // _MIB


def accelerator(proc: Path = _PROC) -> dict[str, object] | None:
    """The GPU that a driver tells of."""
    if shutil.which(_SMI[0]) and (found := parsed_smi(_said(_SMI) or "")):
        return found
    if (name := board(proc)) and "jetson" in name.lower():
        return {"name": name, "memory_mib": None, "driver": _read(_ETC / "nv_tegra_release").partition("\n")[0] or None}
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return {"name": "Apple GPU", "memory_mib": None, "driver": None}
    return None


def parsed_smi(text: str) -> dict[str, object] | None:
    """The first GPU of nvidia-smi's table of name, MiB, driver, watts; what it has no word for is null."""
    fields = [each.strip() for each in text.partition("\n")[0].split(",")]
    if len(fields) != 4 or not fields[0]:
        return None
    name, memory, driver, watts = fields
    return {
        "name": name,
        "memory_mib": int(memory) if memory.isdigit() else None,
        "driver": driver,
        "power_limit_w": float(watts) if watts.replace(".", "", 1).isdigit() else None,
        "count": len(text.strip().splitlines()),
    }


def power_mode(sys_folder: Path = _SYS) -> str | None:
    """A Jetson's mode as `nvpmodel` calls it, else the clock governor."""
    if shutil.which("nvpmodel") and (said := _said(["nvpmodel", "-q"])):
        names = [line.partition(":")[2].strip() for line in said.splitlines() if line.startswith("NV Power Mode")]
        if names:
            return names[0]
    return _read(sys_folder / "devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None


def clocks(sys_folder: Path = _SYS) -> dict[str, float] | None:
    """MHz of the first core: `now_mhz` and `max_mhz`."""
    folder = sys_folder / "devices/system/cpu/cpu0/cpufreq"
    found = {"now_mhz": "scaling_cur_freq", "max_mhz": "cpuinfo_max_freq"}
    texts = {name: _read(folder / file).strip() for name, file in found.items()}
    read = {name: int(text) / _KHZ_OF_MHZ for name, text in texts.items() if text.isdigit()}
    return read or None


def temperatures(sys_folder: Path = _SYS) -> dict[str, float]:
    """Degrees Celsius by sensor."""
    found = {}
    for zone in sorted((sys_folder / "class/thermal").glob("thermal_zone*")):
        name, text = _read(zone / "type").strip(), _read(zone / "temp").strip()
        if text.lstrip("-").isdigit():
            found[name or zone.name] = int(text) / 1000
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _said(command: Sequence[str]) -> str | None:
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_ASKING_S).stdout.strip()
    return None
