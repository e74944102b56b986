"""scripts/edge-worker on this machine: joins, says how to start, may be repeated; refusals are one sentence."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from device_scene import DeviceScene, environment, listening_scene

from workers.joining import load

SCRIPT = Path(__file__).parents[2] / "scripts" / "edge-worker"


@pytest.fixture(scope="module")
def scene(module_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceScene]:
    with listening_scene(module_home, tmp_path_factory.mktemp("devices")) as found:
        yield found


@pytest.fixture
def edge_worker(tmp_path: Path):
    """Runs the script as a user with a home of their own, in this environment's packages."""

    def run(*arguments: str, stdin: str = "", **variables: object) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in environment().items() if not name.startswith(("XDG_", "SUDO_"))}
        own = {"HOME": str(tmp_path), "NASD_EDGE_VENV": sys.prefix, "NASD_SERVICE": "no"}
        return subprocess.run(
            ["/bin/sh", SCRIPT, *arguments],
            env=kept | own | {name: str(value) for name, value in variables.items()},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_a_board_joins_and_is_told_how_to_start(scene: DeviceScene, edge_worker, tmp_path: Path):
    """And the command that it is told works, without the token."""
    done = edge_worker(scene.add("edge").token)

    assert done.returncode == 0, done.stderr
    kept = tmp_path / ".config/nasd/device.json"
    found = load(kept)
    assert found is not None
    assert found.credentials.name == "edge"
    command = done.stdout.splitlines()[-1]
    assert command == f"{sys.prefix}/bin/nasd worker --device {kept}"
    worked = subprocess.run(
        [*command.split(), "--once"],
        env=environment(HOME=tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert worked.returncode == 0, worked.stderr
    assert scene.rows("select count(*) from nasd_core.worker where login = %s", found.credentials.role) == [(1,)]


def test_it_may_be_repeated_with_the_token_and_without(scene: DeviceScene, edge_worker, tmp_path: Path):
    token = scene.add("again").token
    first = edge_worker("-", stdin=token + "\n")
    before = (tmp_path / ".config/nasd/device.json").read_text()

    assert [run.returncode for run in (first, edge_worker(token), edge_worker(NASD_JOIN=token), edge_worker())] == [
        0
    ] * 4
    assert (tmp_path / ".config/nasd/device.json").read_text() == before


def test_a_used_token_stops_it(scene: DeviceScene, edge_worker, tmp_path: Path):
    added = scene.add("used")
    assert edge_worker(added.token).returncode == 0

    done = edge_worker(added.token, XDG_CONFIG_HOME=tmp_path / "elsewhere")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the database refuses the token of device used" in done.stderr


def test_its_service_holds_no_secret_and_minds_exit_codes(scene: DeviceScene, edge_worker):
    done = edge_worker("--print-unit", NASD_JOIN=scene.add("unit").token)

    assert f'ExecStart="{sys.prefix}/bin/nasd" worker --device "' in done.stdout
    assert "RestartPreventExitStatus=2" in done.stdout
    assert "nasd1-" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        ((), {}, "this machine has not joined: edge-worker TOKEN"),
        (("--help-me",), {}, "--help-me: no such option"),
        ((), {"HOME": ""}, "HOME is not set"),
        ((), {"SUDO_USER": "pi"}, "run this as pi, without sudo"),
        ((), {"NASD_EDGE_VENV": "/nowhere"}, "NASD_EDGE_VENV=/nowhere: has no bin/nasd"),
        ((), {"NASD_EDGE_VENV": "", "PATH": "/nowhere"}, "no Python 3.11, 3.12 or 3.13 was found"),
    ],
)
def test_a_mistake_is_one_sentence(edge_worker, arguments: tuple[str, ...], variables: dict, complaint: str):
    if "PATH" in variables:
        variables = variables | {"NASD_PACKAGE": "nasd[edge]"}
    done = edge_worker(*arguments, **variables)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith(f"error: {complaint}")
