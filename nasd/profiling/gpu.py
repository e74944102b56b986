"""What an NVIDIA GPU tells through NVML, where the driver and the package `nvidia-ml-py` are installed."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

from nasd.domain.measurement import JsonObject

_THROTTLES = {  # bits of nvmlDeviceGetCurrentClocksEventReasons, whose names have changed
    0x4: "power_cap",
    0x8: "hardware_slowdown",
    0x20: "thermal_limit",
    0x40: "hardware_thermal_slowdown",
    0x80: "power_brake",
}


class Gpu:
    """This process's first GPU."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def joules(self) -> float:
        """Since the driver was loaded; GPUs older than Volta raise NVML's error."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000

    def now(self) -> dict[str, float]:
        """`temperature_c` and `frequency_mhz` (of the multiprocessors), as far as it tells."""
        nvml, found = self._nvml, dict[str, float]()
        with contextlib.suppress(nvml.NVMLError):
            found["temperature_c"] = float(nvml.nvmlDeviceGetTemperature(self._handle, nvml.NVML_TEMPERATURE_GPU))
        with contextlib.suppress(nvml.NVMLError):
            found["frequency_mhz"] = float(nvml.nvmlDeviceGetClockInfo(self._handle, nvml.NVML_CLOCK_SM))
        return found

    def throttling(self) -> JsonObject:
        """`throttled`: words for what holds it back."""
        read: Callable[[Any], int] | None = getattr(self._nvml, "nvmlDeviceGetCurrentClocksEventReasons", None)
        read = read or getattr(self._nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", None)
        if read is None:
            return {}
        try:
            bits = read(self._handle)
        except self._nvml.NVMLError:
            return {}
        return {"throttled": [word for bit, word in _THROTTLES.items() if bits & bit]}


@functools.cache
def first_gpu() -> Gpu | None:
    """What CUDA calls device 0: the first of CUDA_VISIBLE_DEVICES, by number or by identity; None: none that tells."""
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        return None
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    with contextlib.suppress(nvml.NVMLError):
        nvml.nvmlInit()
        if first.startswith(("GPU-", "MIG-")):
            return Gpu(nvml, nvml.nvmlDeviceGetHandleByUUID(first))
        return Gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(int(first) if first.isdigit() else 0))
    return None


def is_on_gpu(conditions: JsonObject) -> bool:
    """Whether a runner of such conditions computes on an NVIDIA GPU."""
    return str(conditions.get("device")).startswith("cuda") or conditions.get("provider") in {"cuda", "tensorrt"}
