"""Which runtimes this machine can run now, found without importing them where that can be."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

_COMPILERS = ("c++", "g++", "clang++")
_LIST_PROVIDERS = "import onnxruntime; print(*onnxruntime.get_available_providers(), sep='\\n')"
_NVIDIA = Path("/proc/driver/nvidia/version")
_TEGRA = Path("/dev/nvhost-gpu")  # a Jetson's GPU has no PCI driver


def offers() -> tuple[str, ...]:
    """The words by which stages are given to workers: "torch", runtimes, runtimes on a provider, "gpu"."""
    found = [*_torch_offers(), *(f"onnxruntime:{each}" for each in onnx_providers() if each != "cpu")]
    if "cpu" in onnx_providers():
        found.append("onnxruntime")
    if _has("executorch") and _has("torch"):
        found.append("executorch")
    if has_nvidia_gpu():
        found.append("gpu")
    return tuple(sorted(found))


def can_export() -> bool:
    """Whether torch's ONNX exporter is complete here, with what checks its files."""
    return all(map(_has, ("torch", "onnx", "onnxscript", "onnxruntime")))


def compiler() -> str | None:
    """The C++ compiler that torch would use."""
    named = os.environ.get("CXX")
    return next(filter(None, map(shutil.which, (named,) if named else _COMPILERS)), None)


def has_nvidia_gpu() -> bool:
    """Whether a driver says so; whether a runtime can use it shows when it is used."""
    return _NVIDIA.exists() or _TEGRA.exists()


@functools.cache
def onnx_providers() -> tuple[str, ...]:
    """Of `nasd.runtimes.onnx.PROVIDERS`, those that the installed build of onnxruntime has; empty without one."""
    if not _has("onnxruntime"):
        return ()
    if sys.platform == "linux" and _is_plain_onnxruntime():
        return ("cpu",)  # without a process that imports it, which costs every worker's start 0.2 s
    done = subprocess.run([sys.executable, "-c", _LIST_PROVIDERS], capture_output=True, text=True, check=False)
    names = {line.removesuffix("ExecutionProvider").lower() for line in done.stdout.split()}
    needs_gpu = {"cuda", "tensorrt"}
    known = ("cpu", "cuda", "tensorrt", "openvino", "coreml", "rocm", "dml", "xnnpack")
    return tuple(each for each in known if each in names and (each not in needs_gpu or has_nvidia_gpu()))


def _torch_offers() -> list[str]:
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return []
    found = ["torch", "torch-eager", "torch-export"]
    if compiler() is not None:
        found.append("torch-compile")
    library = Path(next(iter(spec.submodule_search_locations))) / "lib"
    processors = ["cpu"]
    if has_nvidia_gpu() and any(library.glob("libtorch_cuda*")):
        processors.append("cuda")
    if sys.platform == "darwin" and os.uname().machine == "arm64":
        processors.append("mps")
    runtimes = [each for each in found if each.startswith("torch-")]
    return [*found, *(f"{runtime}:{processor}" for runtime in runtimes for processor in processors)]


def _is_plain_onnxruntime() -> bool:
    """Whether it is the build for processors alone, as it says itself."""
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None
    for folder in spec.submodule_search_locations or ():
        with contextlib.suppress(OSError):
            return "package_name = 'onnxruntime'\n" in (Path(folder) / "capi/build_and_package_info.py").read_text()
    return False


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
