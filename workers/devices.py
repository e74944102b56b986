"""What this machine is: processor, memory, versions. Imports nothing heavy."""

from __future__ import annotations

import os
import platform
import secrets
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from nasd.domain.ids import DeviceKind
from nasd.domain.measurement import Stage
from nasd.ports.lease import WorkerInfo

_PACKAGES = ("nasd", "torch", "numpy", "scikit-learn")


def describe() -> dict[str, object]:
    """Facts of this machine as plain values; what can't be known is absent or null."""
    return {
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(logical=False),
        "threads": os.cpu_count(),
        "usable_threads": _usable_threads(),
        "memory_mib": psutil.virtual_memory().total // (1 << 20),
        "machine": platform.machine(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def stages_here() -> tuple[Stage, ...]:
    """The stages that what is installed allows."""
    has_torch = find_spec("torch") is not None
    return tuple(stage for stage in Stage if has_torch or stage is Stage.RUN)


def worker_info(
    kind: DeviceKind,
    *,
    stages: Sequence[Stage] | None = None,
    studies: Sequence[str] = (),
    packages: Sequence[str] = (),
    name: str | None = None,
) -> WorkerInfo:
    """What this process says of itself when it registers.

    Args:
        kind: its device kind.
        stages: it serves; None: all that are possible here.
        studies: it serves; empty: any.
        packages: that users' functions may be imported from.
        name: unique among live workers; None: host, process and two random bytes (containers repeat the first two).
    """
    host = socket.gethostname()
    return WorkerInfo(
        name=name or f"{host}-{os.getpid()}-{secrets.token_hex(2)}",
        host=host,
        device_kind=kind,
        stages=tuple(stages) if stages else stages_here(),
        studies=tuple(studies),
        packages=tuple(packages),
        facts=describe() | {"packages": list(packages)},
    )


def _cpu_model() -> str | None:
    if sys.platform == "linux":
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                key, _, value = line.partition(":")
                if key.strip() in ("model name", "Model", "Hardware"):
                    return value.strip()
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    return platform.processor() or None


def _usable_threads() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None
