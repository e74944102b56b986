"""Where modules run: the device, what it does well, the versions that a number depends on, and failed allocations."""

import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from nasd.errors import CandidateFault

# The CPU allocator and oneDNN raise plain RuntimeErrors, told apart only by their text.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "could not allocate", "out of memory")
_WANTED = re.compile(r"allocate (\d+(?:\.\d+)?) (bytes|[KMGTPE]iB)")
_SCALES = {"bytes": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40, "PiB": 50, "EiB": 60}


def pick_device() -> torch.device:
    """This process's accelerator, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronise(device: torch.device) -> None:
    """Wait until `device` has finished what was launched; nothing to wait for on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def versions() -> dict[str, str]:
    """Of what a number depends on."""
    return {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}


def place(module: nn.Module, device: torch.device, *, input_shape: tuple[int, ...]) -> bool:
    """Move `module` to `device`; whether its inputs should have their channels innermost, as its weights have now.

    Networks that convolve images do: they run 1.03 to 1.6 times as fast, and never slower in what was measured (CPUs
    with and without AVX-512, 8 to 256 channels, 7 to 28 pixels a side, dense and depthwise, training and inference).
    """
    module.to(device)
    is_inside = len(input_shape) == 3 and any(isinstance(part, nn.Conv2d) for part in module.modules())
    if is_inside:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return is_inside


def bfloat16_pays(device: torch.device) -> bool:
    """Whether training in bfloat16 is worth it without knowing the network: on GPUs with the instructions for it.

    On a CPU it depends on the network: 0.5 to 2.1 times as fast with AVX512-BF16, 0.2 times without.
    """
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is a failed allocation, on whichever device."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(mark in str(error).lower() for mark in _NO_MEMORY)


@contextmanager
def candidate_memory(what: str, device: torch.device | None = None) -> Iterator[None]:
    """Turn a failed allocation into the candidate's fault; `what` starts the sentence ("training", "a forward pass").

    Args:
        what: was done.
        device: where; None: on the CPU.

    Raises:
        CandidateFault: `out_of_memory`; its violation is the share by which what was in use and what was wanted beside
            it exceed the device's memory, None where the error does not say how much was wanted.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise _out_of_memory(what, str(error), device or torch.device("cpu")) from error


def _out_of_memory(what: str, text: str, device: torch.device) -> CandidateFault:
    found = _WANTED.search(text)
    if found is None:
        first = text.partition("\n")[0] or "MemoryError"
        return CandidateFault("out_of_memory", f"{what} does not fit into this device's memory: {first}")
    wanted = round(float(found[1]) * 2 ** _SCALES[found[2]])
    in_use, limit = _memory_bytes(device)
    return CandidateFault(
        "out_of_memory",
        f"{what} does not fit into this device's memory: wanted {wanted} bytes beside {in_use} in use of {limit}",
        violation=max((in_use + wanted) / limit - 1, 1e-6),  # less is free than the limit says: others use it too
    )


def _memory_bytes(device: torch.device) -> tuple[int, int]:
    """(in use, in all) of a GPU; for a CPU what this process uses, and what the machine has or the process may use."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return total - free, total
    import psutil  # type: ignore[import-untyped]

    memory, total = psutil.Process().memory_info(), int(psutil.virtual_memory().total)
    if sys.platform != "win32":
        import resource

        allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
        if allowed != resource.RLIM_INFINITY and allowed < total:
            return int(memory.vms), int(allowed)
    return int(memory.rss), total


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with `n` threads within, as many as before after."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
