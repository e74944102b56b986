"""A memory control group for one process: what it may take, whether it was killed for more, what it was charged.

Linux, version 1 or 2, where this user may make one. Knows nothing of what is measured in it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
LEAVE_S = 2.0
IN_GROUP = 'echo $$ > "$0" && exec "$@"'  # before anything is loaded: what was charged elsewhere stays there


class NoGroup(Exception):
    """None can be made here; the message says why."""


@dataclass(frozen=True, slots=True)
class Group:
    """A memory control group of either version."""

    folder: Path

    def command(self, *command: str) -> list[str]:
        """The command, run inside."""
        return ["sh", "-c", IN_GROUP, str(self.folder / "cgroup.procs"), *command]

    def told(self, *names: str) -> str:
        return "".join(path.read_text() for path in (self.folder / name for name in names) if path.exists())

    @property
    def n_killed(self) -> int:
        found = re.search(r"^oom_kill (\d+)$", self.told("memory.events", "memory.oom_control"), re.MULTILINE)
        return int(found[1]) if found else 0

    @property
    def peak(self) -> int | None:
        """Bytes charged at most; None where the kernel doesn't keep it (version 2 before 5.19)."""
        told = self.told("memory.peak", "memory.memsw.max_usage_in_bytes")
        return int(told) if told else None


@contextmanager
def limited_to(n_bytes: int, *, root: Path = ROOT, own: Path = OWN) -> Iterator[Group]:
    """A group of so many bytes, memory and swap together; removed at the end.

    Raises:
        NoGroup: none can be made here.
    """
    folder = _made(n_bytes, root, own)
    try:
        yield Group(folder)
    finally:
        _remove(folder)


def _made(n_bytes: int, root: Path, own: Path) -> Path:
    reason = "this system has no control groups for memory"
    for parent, files in _places(n_bytes, root, own):
        folder = parent / f"nasd-memory-{os.getpid()}"
        try:
            folder.mkdir()
            for name, text in files.items():
                if not (folder / name).exists():
                    raise FileNotFoundError(2, "groups made there have no such file", str(folder / name))
                (folder / name).write_text(text)
        except OSError as error:
            reason = f"{error.filename or folder}: {error.strerror or error}"
            with suppress(OSError):
                folder.rmdir()
        else:
            return folder
    raise NoGroup(f"no memory control group can be made here: {reason}")


def _places(n_bytes: int, root: Path, own: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Where a group might be made, and what to write into which of its files: memory first, then swap."""
    with suppress(FileNotFoundError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers and (root / "cgroup.controllers").exists():  # version 2
                here = root / path.lstrip("/")
                for parent in (here, here.parent):  # a group with processes of its own may have none below it
                    yield parent, {"memory.max": str(n_bytes), "memory.swap.max": "0"}
            elif "memory" in controllers.split(","):  # version 1, whose second limit is of both together
                files = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
                yield root / "memory" / path.lstrip("/"), dict.fromkeys(files, str(n_bytes))


def _remove(folder: Path) -> None:
    """Its processes have ended; the kernel may need a moment to notice."""
    deadline = time.monotonic() + LEAVE_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.02)
