"""What a process really takes while it does something: the peak of its resident memory, in a fresh process.

Model memory (`nasd.profiling.memory`) sees tensors alone. A process has its libraries, the kernels' scratch space and
the allocator's slack beside them, which decide whether something fits. Linux resets and tells the peak (VmHWM); a fresh
process, because what another evaluation left behind in this one would be counted or reused.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nasd.errors import WorldFault
from nasd.usercode import environment

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"  # proc(5)
_KIB = 1024
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # as workers start theirs


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Bytes resident: when the work began (`base`, libraries loaded), and at most while it lasted."""

    base: int
    peak: int

    @property
    def growth(self) -> int:
        return self.peak - self.base


def is_available() -> bool:
    """Whether this system tells and resets a process's peak."""
    return _CLEAR_REFS.exists() and "VmHWM" in _STATUS.read_text()


def measured_in_child(function: str, *arguments: object, timeout_s: float = 600.0) -> ProcessMemory:
    """Call a function of ours in a fresh process of one thread and watch its memory.

    Args:
        function: `package.module:function`; what its module imports is part of `base`.
        arguments: JSON values, passed in their order.

    Raises:
        WorldFault: `memory_unknown`, the system does not tell, or `child`, the process ended without an answer.
    """
    if not is_available():
        raise WorldFault("memory_unknown", "this system does not tell a process's peak of memory; Linux does")
    done = subprocess.run(
        [sys.executable, "-m", __name__, function],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=environment(Path.cwd()) | _ONE_THREAD,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise WorldFault("child", f"measuring the memory of {function}: {last}")
    return ProcessMemory(**json.loads(done.stdout.splitlines()[-1]))


class Peak:
    """Watches this process's memory within a `with`; `found` afterwards. What other threads do counts as well."""

    found: ProcessMemory

    def __enter__(self) -> Self:
        self._base = _resident("VmRSS")
        _CLEAR_REFS.write_text(_RESET_PEAK)
        return self

    def __exit__(self, *_: object) -> None:
        self.found = ProcessMemory(base=self._base, peak=max(self._base, _resident("VmHWM")))


def _work(dotted: str, arguments: list[object]) -> ProcessMemory:
    module, _, name = dotted.partition(":")
    function = getattr(importlib.import_module(module), name)
    with Peak() as peak:
        function(*arguments)
    return peak.found


def _resident(which: str) -> int:
    """Bytes, by the kernel's own word for it."""
    found = re.search(rf"^{which}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise WorldFault("memory_unknown", f"/proc/self/status has no {which}")
    return int(found[1]) * _KIB


if __name__ == "__main__":
    memory = _work(sys.argv[1], json.load(sys.stdin))
    print(json.dumps({"base": memory.base, "peak": memory.peak}))
