"""What this machine is and can do: processor, memory, accelerator, runtimes. Imports nothing heavy."""

from __future__ import annotations

import os
import platform
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import psutil  # type: ignore[import-untyped]

from nasd.config import meter_function
from nasd.domain.ids import DeviceKind
from nasd.domain.measurement import Stage
from nasd.errors import NasdError
from nasd.ports.lease import WorkerInfo
from nasd.profiling.meters import available
from nasd.runtimes import offers
from nasd.runtimes.offers import can_export, compiler, onnx_providers
from workers.machine import accelerator, clocks, cpu_model, memory_mib, power_mode, temperatures

_PACKAGES = ("nasd", "torch", "numpy", "scikit-learn", "onnx", "onnxscript", "executorch")
_ONNX_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-qnn")
_TORCH, _ENERGY = "torch", "energy"  # among offers
BESIDE_MIB = 160  # beside an evaluation: the worker's own process and a bare system


def describe() -> dict[str, object]:
    """Facts of this machine as plain values; what can't be known is absent or null."""
    can = offers()
    return {
        "cpu": cpu_model(),
        "cores": psutil.cpu_count(logical=False),
        "threads": os.cpu_count(),
        "usable_threads": _usable_threads(),
        "memory_mib": memory_mib(),
        "machine": platform.machine(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": {name: found for name in (*_PACKAGES, *_ONNX_PACKAGES) if (found := _version(name))},
        "onnx_providers": list(onnx_providers()),
        "compiler": compiler(),
        "accelerator": accelerator(),
        "power_mode": power_mode(),
        "clocks": clocks(),
        "temperatures_c": temperatures(),
        "can_train": _TORCH in can,
    }


def stages_here() -> tuple[Stage, ...]:
    """The stages that what is installed allows; which kinds' measuring it is enough for, `offers_here` says."""
    can = offers()
    here = {
        Stage.TRAIN: _TORCH in can,
        Stage.EXPORT: can_export(),
        Stage.MEASURE: bool(can),
        Stage.RUN: True,
    }
    return tuple(stage for stage in Stage if here[stage])


def offers_here(packages: Sequence[str] = ()) -> tuple[str, ...]:
    """Runtimes, "gpu", and "energy" where a meter can be read.

    Args:
        packages: that the user's own meter may be imported from.
    """
    can = offers()
    try:
        meter = available(on_gpu="gpu" in can, external=meter_function(), allow=packages)
    except NasdError:  # the user's own can't be had: said where energy is measured
        meter = None
    return can if meter is None else (*can, _ENERGY)


def worker_info(
    kind: DeviceKind,
    *,
    stages: Sequence[Stage] | None = None,
    studies: Sequence[str] = (),
    packages: Sequence[str] = (),
    name: str | None = None,
    memory_limit_mib: int | None = None,
) -> WorkerInfo:
    """What this process says of itself when it registers.

    Args:
        kind: its device kind.
        stages: it serves; None: all that are possible here.
        studies: it serves; empty: any.
        packages: that users' functions may be imported from.
        name: unique among live workers; None: host, process and two random bytes (containers repeat the first two).
        memory_limit_mib: that one evaluation may take; None: what the machine has.
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
        offers=offers_here(packages),
        memory_mib=min(max(0, memory_mib() - BESIDE_MIB), memory_limit_mib or memory_mib()),
    )


def _usable_threads() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None
