"""Where modules run: the device, the versions that a number depends on, and whose fault a failed allocation is."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from nasd.errors import CandidateFault

# The CPU allocator and oneDNN raise plain RuntimeErrors, told apart only by their text.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "could not allocate", "out of memory")


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


@contextmanager
def candidate_memory(what: str) -> Iterator[None]:
    """Turn a failed allocation into the candidate's fault; `what` starts the sentence ("training", "a forward pass").

    Raises:
        CandidateFault: `out_of_memory`.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, MemoryError) and not any(mark in text.lower() for mark in _NO_MEMORY):
            raise
        first = text.partition("\n")[0] or "MemoryError"
        raise CandidateFault("out_of_memory", f"{what} does not fit into this device's memory: {first}") from error


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Compute with `n` threads within, as many as before after."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
