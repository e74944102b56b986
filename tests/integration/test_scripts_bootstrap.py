"""scripts/bootstrap where it can't go on: one sentence and exit code 2, nothing half made. The rest needs a network."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHONS = ("python3.13", "python3.12", "python3.11", "python3")


@pytest.fixture
def clone(tmp_path):
    """A folder with what bootstrap reads, no .venv, and a PATH on which every Python is a fake."""
    folder, fakes = tmp_path / "a clone", tmp_path / "fakes"
    (folder / "scripts").mkdir(parents=True)
    fakes.mkdir()
    shutil.copy2(ROOT / "scripts" / "bootstrap", folder / "scripts" / "bootstrap")
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)

    def run(fake):
        for name in PYTHONS:
            (fakes / name).write_text(f"#!/bin/sh\n{fake}\n")
            (fakes / name).chmod(0o755)
        environment = {"PATH": f"{fakes}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        done = subprocess.run(
            [folder / "scripts" / "bootstrap"], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert not (folder / ".venv.lock").exists()
        assert not (folder / ".venv").exists()
        return done

    return folder, run


def test_without_a_fitting_python_it_says_which_would_do(clone):
    """The commonest first failure on an old machine."""
    _, run = clone

    done = run("exit 1")

    assert done.returncode == 2
    assert done.stderr == (
        "error: no Python 3.11, 3.12 or 3.13 was found: install one, or name it with NASD_PYTHON=PATH\n"
    )


def test_without_the_venv_module_it_says_how_it_is_packed(clone):
    """Debian's Python has none until python3-venv is installed."""
    _, run = clone

    done = run('case "$*" in *ensurepip*) exit 1;; esac')

    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "python3-venv" in done.stderr


def test_a_lock_whose_owner_died_does_not_stop_it(clone):
    """A killed installation must not need a hand."""
    folder, run = clone
    process = subprocess.Popen(["true"])
    process.wait()
    (folder / ".venv.lock").mkdir()
    (folder / ".venv.lock" / "pid").write_text(str(process.pid))

    assert "no Python 3.11" in run("exit 1").stderr


@pytest.mark.parametrize("name", ["bootstrap", "quickstart", "test", "check"])
def test_scripts_are_plain_sh_and_executable(name):
    """They run before anything is installed, on macOS too."""
    path = ROOT / "scripts" / name

    assert path.read_text().startswith("#!/bin/sh\n")
    assert os.access(path, os.X_OK)
    assert subprocess.run(["/bin/sh", "-n", path], check=False).returncode == 0
