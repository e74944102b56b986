"""`nasd replay`: rows alone explain every proposal, also while the search runs; a changed row is found."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from fault_processes import environment
from fault_system import System

pytestmark = pytest.mark.fault

HELD = 20


def replay(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as a user gives it."""
    urls = {
        "NASD_DATABASE_URL": system.database.controller,
        "NASD_REDIS_URL": system.services.redis_url("controller"),
    }
    command = [sys.executable, "-m", "nasd", "replay", "study", *arguments]
    return subprocess.run(command, env=environment(**urls), capture_output=True, text=True, check=False, timeout=60)


def test_replay_of_a_running_study_is_equal_until_a_row_is_changed(system: System):
    """Exact resumption is not a promise but something that anybody can check."""
    system.create()
    system.hold(HELD)
    system.controller()
    worker = system.worker()
    system.until_held(HELD, worker)

    running = replay(system)

    assert (running.returncode, running.stderr) == (0, "")
    n = int(running.stdout.split()[1])
    assert n > HELD
    assert running.stdout == f"study: {n} proposals recomputed, all equal\n"
    system.release(HELD)
    system.until_complete()
    whole = replay(system, "--json")
    assert whole.returncode == 0
    said = json.loads(whole.stdout)
    assert (said["is_equal"], said["n_proposals"], said["n_facts"], said["differences"]) == (True, 40, 40, [])

    system.database.rows("update nasd_core.trial set operator = 'guess' where number = 25")

    changed = replay(system)
    assert changed.returncode == 1
    assert changed.stdout.startswith("study: 40 proposals recomputed, 1 not equal:\n  trial 25: operator stored guess")

    system.database.rows("update nasd_core.trial set strategy_version = 'random-0' where number < 30")

    foreign = replay(system)
    assert foreign.returncode == 1
    assert foreign.stdout.startswith("study: 30 of 40 proposals were made by ")
    assert "random-0" in foreign.stdout
    assert foreign.stdout.count("\n") == 1


def test_replay_of_an_unknown_study_is_one_sentence(system: System):
    """A typing error must not look like a difference."""
    unknown = replay(system)

    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == 'error: there is no study "study"; known: none yet\n'
