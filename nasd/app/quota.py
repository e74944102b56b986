"""CpuQuota: a control group that gives its processes so much CPU time and no more. Linux, where one may be made."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from nasd.errors import Unavailable

_ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000  # the kernel's own default
_LEAVE_S = 2.0


class CpuQuota:
    """One group of this process's own. Close it when its processes have gone."""

    def __init__(self, share: float, *, name: str, root: Path = _ROOT, own: Path = Path("/proc/self/cgroup")) -> None:
        """Make the group beside this process's.

        Args:
            share: CPUs' worth of time, such as 0.5.

        Raises:
            Unavailable: no control groups here, or this user may not make one.
        """
        quota_us = max(1000, round(share * _PERIOD_US))
        reason = "this system has no control groups for CPU time"
        for parent, file, value in _places(quota_us, root, own):
            try:
                self._folder = _made(parent / f"nasd-{os.getpid()}-{name}", file, value)
            except OSError as error:
                reason = f"{parent}: {error.strerror or error}"
            else:
                return
        raise Unavailable(f"cpu_quota = {share:g} can't be applied: {reason}. Remove it, or run where it is allowed")

    def hold(self, pid: int) -> None:
        """Put a process, with all that it starts from now on, under the quota.

        Raises:
            OSError: it is gone, or the kernel refuses.
        """
        (self._folder / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Remove the group; one that is not empty stays for the kernel's bookkeeping and costs nothing."""
        deadline = time.monotonic() + _LEAVE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
                return
            time.sleep(0.02)


def _places(quota_us: int, root: Path, own: Path) -> Iterator[tuple[Path, str, str]]:
    """Where a group might be made: (parent, the file that holds the limit, its text)."""
    with contextlib.suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers and (root / "cgroup.controllers").exists():  # version 2
                here = root / path.lstrip("/")
                for parent in (here, here.parent):  # a group with processes of its own may have none below it
                    yield parent, "cpu.max", f"{quota_us} {_PERIOD_US}"
            elif "cpu" in controllers.split(","):  # version 1
                yield root / "cpu" / path.lstrip("/"), "cpu.cfs_quota_us", str(quota_us)


def _made(folder: Path, file: str, value: str) -> Path:
    folder.mkdir()
    try:
        if not (folder / file).exists():
            raise FileNotFoundError(2, f"no {file} in groups made there")
        (folder / file).write_text(value)
    except OSError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise
    return folder
