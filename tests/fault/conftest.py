"""Fixtures of the whole-system fault tests: a launcher, and systems over shared or mortal servers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from database import Database, copy_of, template
from fault_processes import Launcher
from fault_system import System, system_over

from nasd.services import Services, attach

ROLES = ("controller", "worker", "reader")


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Starts the processes of all these tests."""
    if sys.platform != "linux":
        pytest.skip("the launcher forks a process with numpy in it, which macOS does not allow")
    launcher = Launcher()
    yield launcher
    launcher.close()


@pytest.fixture
def system(launcher: Launcher, services: Services, database: Database, tmp_path: Path) -> Iterator[System]:
    """Over the session's servers, which these tests leave alone."""
    with system_over(launcher, services, database, tmp_path) as system:
        yield system


@pytest.fixture(scope="module")
def mortal_services(module_home: Path) -> Iterator[Services]:
    """Servers that a module's tests may kill; each test leaves them running."""
    with attach(module_home) as running:
        yield running


@pytest.fixture(scope="module")
def mortal_template(mortal_services: Services) -> Iterator[str]:
    with template(mortal_services.database_url("admin"), mortal_services.role_passwords()) as name:
        yield name


@pytest.fixture
def mortal_system(
    launcher: Launcher, mortal_services: Services, mortal_template: str, tmp_path: Path
) -> Iterator[System]:
    """Over servers that may be killed."""
    urls = {role: mortal_services.database_url(role) for role in ROLES}
    with ExitStack() as stack:
        database = stack.enter_context(copy_of(mortal_template, mortal_services.database_url("admin"), urls))
        yield stack.enter_context(system_over(launcher, mortal_services, database, tmp_path))


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str, float], None]:
    """Keeps a measured time with the test's result, and prints it."""

    def keep(name: str, seconds: float) -> None:
        record_property(name, round(seconds, 3))
        print(f"{name}: {seconds:.2f} s")

    return keep
