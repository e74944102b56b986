"""What every test may use. The embedded pair: one per session, in a home that root's servers can enter."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from plugin_database import database, database_template, scene  # noqa: F401 - fixtures

from nasd.services import Services, attach, down

MEMORY = Path("/dev/shm")


def _make_home_root() -> Path:
    # not tmp_path: under root that lies in a 0700 folder, which the servers' user could not enter; and short,
    # because a socket's path is limited. In memory where there is room: a thousand small files are made and removed
    # three times faster there, and no test cuts the power.
    is_roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30
    is_executable = is_roomy and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC  # programs may be copied into a home
    folder = Path(tempfile.mkdtemp(prefix="nasd-test-", dir=MEMORY if is_executable else None))
    folder.chmod(0o711)
    return folder


@contextmanager
def _home_folder() -> Iterator[Path]:
    root = _make_home_root()
    try:
        yield root / "home"
    finally:
        if (root / "home").exists():
            down(root / "home", force=True)
        shutil.rmtree(root)


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    """A home that does not exist yet; whatever serves there is ended after the test."""
    with _home_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def made_home() -> Iterator[Path]:
    """A home with empty databases that nobody serves; to be copied, not used."""
    with _home_folder() as folder:
        attach(folder).close()
        down(folder, force=True)
        yield folder


@pytest.fixture
def home(made_home: Path) -> Iterator[Path]:
    """A home of this test's own, already made, so that a start takes a quarter of a second instead of two."""
    with _home_folder() as folder:
        subprocess.run(["cp", "-a", made_home, folder], check=True)
        yield folder


@pytest.fixture(scope="module")
def module_home(made_home: Path) -> Iterator[Path]:
    """A home of this module's own, already made."""
    with _home_folder() as folder:
        subprocess.run(["cp", "-a", made_home, folder], check=True)
        yield folder


@pytest.fixture(scope="session")
def services(made_home: Path) -> Iterator[Services]:
    """One running Postgres and Valkey for the whole session. Share them; make a database of your own."""
    with _home_folder() as folder:
        subprocess.run(["cp", "-a", made_home, folder], check=True)
        with attach(folder) as running:
            yield running


@pytest.fixture(scope="session", autouse=True)
def _own_cache() -> Iterator[None]:
    """Prepared data are kept for the session, in this process and all that it starts, and not in the user's cache."""
    with tempfile.TemporaryDirectory(prefix="nasd-cache-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASD_CACHE", folder)
        yield


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Waits for a condition, with a limit; `sleep` alone never decides a test."""

    def wait(condition: Callable[[], object], *, limit_s: float = 20.0, what: str = "the condition") -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come about within {limit_s} s"
            time.sleep(0.01)

    return wait
