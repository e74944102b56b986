"""Whether torch.compile pays: known from what it came to on this device before, which is remembered in a file.

A choice by the clock: with `compile = "auto"` two runs of one training may differ, in rounding and in dropout's masks.
"never" is the default.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from nasd.nets.runtime import synchronise

logger = logging.getLogger(__name__)

_N_TIMED = 20  # steps that are timed, before and after
_N_SKIPPED = 5  # that begin slowly
Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Experience:
    """What compiling came to: seconds until it had run once, and how many times as fast a step is then."""

    compile_s: float
    speedup: float


# Until a device has been tried: hopeful enough to be tried by trainings of five minutes (CPU) or two (GPU).
UNTRIED = {"cpu": Experience(compile_s=40.0, speedup=1.15), "cuda": Experience(compile_s=30.0, speedup=1.3)}


def pays(experience: Experience, *, step_s: float, steps_left: int) -> bool:
    """Whether compiling now would end the training sooner."""
    return step_s * steps_left * (1 - 1 / experience.speedup) > experience.compile_s


class Memory:
    """A file of experiences by device, torch version and family; damaged or missing, it is empty.

    It lies where this machine keeps what can be made again; a user without such a folder has no memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _usual_path()

    def recall(self, key: str) -> Experience | None:
        with contextlib.suppress(KeyError, TypeError, ZeroDivisionError):
            return Experience(**self._all()[key])
        return None

    def remember(self, key: str, experience: Experience) -> None:
        """Does nothing where the folder can't be written."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._path.parent, delete=False) as file:
                json.dump({**self._all(), key: asdict(experience)}, file, indent=1)
            os.replace(file.name, self._path)  # noqa: PTH105 - whole or not at all

    def _all(self) -> dict[str, dict[str, float]]:
        if self._path is None:
            return {}
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _usual_path() -> Path | None:
    from nasd.config import cache_folder  # pydantic, for who compiles alone

    folder, _ = cache_folder()
    return None if folder is None else folder / "compile.json"


class Compiling:
    """Times the first steps, decides once, times the steps after compiling and remembers what came of it.

    Attributes:
        forward: what to call: the module, or what it was compiled to.
        is_done: whether there is nothing left to time.
    """

    def __init__(self, module: nn.Module, device: torch.device, *, family: str, memory: Memory | None = None) -> None:
        self.forward: Forward = module
        self.is_done = False
        self._module, self._device, self._memory = module, device, memory or Memory()
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.node()
        self._key = f"{name}, torch {torch.__version__}, {family}"
        self._eager_s: float | None = None
        self._times: list[float] = []
        self._last = time.perf_counter()

    @property
    def is_compiled(self) -> bool:
        return self.forward is not self._module

    def after_step(self, *, steps_left: int) -> Forward:
        """What to call from the next step on."""
        synchronise(self._device)
        self._times.append(time.perf_counter() - self._last)
        if len(self._times) == _N_SKIPPED + _N_TIMED:
            step_s = statistics.median(self._times[_N_SKIPPED:])
            if self._eager_s is None:
                self._decide(step_s, steps_left)
            else:
                self._learn(self._eager_s, step_s)
        self._last = time.perf_counter()
        return self.forward

    def _decide(self, eager_s: float, steps_left: int) -> None:
        experience = self._memory.recall(self._key) or UNTRIED[self._device.type]
        self.is_done = not pays(experience, step_s=eager_s, steps_left=steps_left)
        if not self.is_done:
            torch._dynamo.config.suppress_errors = True  # what can't be compiled runs as it is
            self.forward = torch.compile(self._module)
            self._eager_s, self._times = eager_s, []

    def _learn(self, eager_s: float, compiled_s: float) -> None:
        compile_s = sum(self._times[:_N_SKIPPED]) - _N_SKIPPED * compiled_s
        experience = Experience(compile_s=max(compile_s, 0.0), speedup=eager_s / compiled_s)
        self._memory.remember(self._key, experience)
        logger.info("compiled", extra={"fields": {"key": self._key, **asdict(experience)}})
        self.is_done = True
