"""Checks of the environment: each looks at one thing and says how it is and what to do. Starts and changes nothing."""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from nasd import __version__
from nasd.config import Settings
from nasd.errors import UserError

_MIB = 2**20
_ENOUGH_DISK = 2 * 2**30  # a study of 10,000 trials with its write-ahead log stays far below
_TOO_LITTLE_DISK = 200 * _MIB  # the embedded services refuse to start below
_ENOUGH_SHM = 256 * _MIB
_NEEDED = ("numpy", "pydantic", "psycopg", "SQLAlchemy", "alembic", "redis", "rq", "pymoo", "moocore")


class Verdict(StrEnum):
    """How a thing is. Only a PROBLEM keeps a search from running."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        remedy: what to do; empty where nothing need be done.
    """

    check: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(settings: Settings, *, folder: Path) -> tuple[Finding, ...]:
    """All findings, in the order in which they are best mended.

    Args:
        settings: of this process.
        folder: of the study files; decides where the home is when the settings don't.
    """
    from nasd.app.doctor_services import database_findings, redis_findings, services_findings

    home = _home(settings, folder)
    checks: Mapping[str, Callable[[], Iterator[Finding]]] = {
        "python": _python,
        "packages": _packages,
        "torch": _torch,
        "settings": lambda: _variables(settings),
        "disk": lambda: _disk(home),
        "shared memory": _shared_memory,
        "services": lambda: services_findings(settings, home),
        "database": lambda: database_findings(settings, home),
        "redis": lambda: redis_findings(settings, home),
    }
    return tuple(finding for name, check in checks.items() for finding in _guarded(name, check))


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check's findings; a mistake of the user's that it ran into is a finding too."""
    try:
        yield from check()
    except UserError as error:
        yield Finding(name, Verdict.PROBLEM, str(error))  # such a sentence carries its own remedy


def _home(settings: Settings, folder: Path) -> Path:
    from nasd.services import default_home

    return settings.home or default_home(folder)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    found = f"{version} on {platform.system()} {platform.machine()}, nasd {__version__}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding("python", Verdict.OK, found)
    else:
        yield Finding("python", Verdict.WARNING, found, "nasd is tested on Python 3.11 to 3.13; make .venv with one")


def _packages() -> Iterator[Finding]:
    missing, found = [], []
    for name in _NEEDED:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        remedy = "Install this project again into this environment: pip install -e ."
        yield Finding("packages", Verdict.PROBLEM, f"not installed: {', '.join(missing)}", remedy)
    else:
        yield Finding("packages", Verdict.OK, ", ".join(found))


def _torch() -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        remedy = "Install nasd[train] on machines that train or measure; a controller runs without"
        yield Finding("torch", Verdict.WARNING, "not installed: this machine can neither train nor measure", remedy)
        return
    from nasd.nets.runtime import pick_device, versions

    device = pick_device()
    remedy = ""
    verdict = Verdict.OK
    if device.type == "cpu" and Path("/dev/nvidia0").exists():
        verdict, remedy = Verdict.WARNING, "There is an NVIDIA GPU here: install torch's CUDA build to use it"
    yield Finding("torch", verdict, f"{versions()['torch']} on {device}, {os.cpu_count()} cores", remedy)
    yield Finding("device kind", Verdict.OK, 'local: what a study file calls "local" is this machine')


def _variables(settings: Settings) -> Iterator[Finding]:
    """Variables that nobody reads are mostly misspelt ones."""
    known = _variable_names(settings)
    unread = sorted(name for name in os.environ if name.startswith("NASD_") and name not in known)
    for name in unread:
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Unset it"
        yield Finding("settings", Verdict.WARNING, f"{name} is set and nothing reads it", remedy)
    read = sorted(name for name in os.environ if name in known)
    if not unread:
        yield Finding("settings", Verdict.OK, f"from the environment: {', '.join(read)}" if read else "all defaults")


def _variable_names(settings: Settings) -> frozenset[str]:
    names = {"NASD_TORCH"}  # scripts/quickstart reads it
    for name, value in settings:
        names.add(f"NASD_{name.upper()}")
        if hasattr(value, "model_fields"):
            names |= {f"NASD_{name.upper()}__{member.upper()}" for member in type(value).model_fields}
    return frozenset(names)


def _disk(home: Path) -> Iterator[Finding]:
    nearest = next(folder for folder in (home, *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(nearest).free
    found = f"{free / 2**30:.1f} GiB free for the home {home}"
    if free < _TOO_LITTLE_DISK:
        yield Finding("disk", Verdict.PROBLEM, found, "Free some, or choose another disk with NASD_HOME")
    elif free < _ENOUGH_DISK:
        yield Finding("disk", Verdict.WARNING, found, "Long studies want 2 GiB; free some or set NASD_HOME")
    else:
        yield Finding("disk", Verdict.OK, found)


def _shared_memory() -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    path = Path("/dev/shm")  # noqa: S108 - only its size is read
    if not path.is_dir():
        yield Finding("shared memory", Verdict.WARNING, f"{path} is missing", "Mount a tmpfs there")
        return
    total = shutil.disk_usage(path).total
    found = f"{path} has {total / _MIB:,.0f} MiB"
    if total < _ENOUGH_SHM:
        yield Finding("shared memory", Verdict.OK, f"{found}; the embedded Postgres then uses files instead")
    else:
        yield Finding("shared memory", Verdict.OK, found)
