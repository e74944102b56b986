"""Whole searches as `nasd run` carries them out: costs known ahead, a scalar, a preference, limits, warm starts."""

from __future__ import annotations

import json
from functools import partial
from math import log
from pathlib import Path

import pytest
from fault_processes import nasd as command

pytestmark = pytest.mark.fault

STUDY = """
[space]
kind = "custom"
[space.params]
width = {{ int = [1, 60] }}
kind = {{ choice = ["a", "b"] }}
[evaluation]
run = "kitchen_costs:run"
costs = "kitchen_costs:costs"
[objectives]
val_error = {{}}
area = {{ unit = "mm2", best = 0.0, worst = 80.0 }}
[[limits]]
of = "area"
max = 50
[scalar]
area = {{ weight = 0.1, at = 10 }}
[preference]
val_error = {{ worst = 0.6 }}
[warm_start]
{warm_start}
[strategy]
use = "nsga2"
population = 6
[budget]
trials = 24
"""
CODE = """
def run(architecture, context):
    return {"val_error": 1 / architecture["width"] + (architecture["kind"] == "a") / 10, **costs(architecture)}

def costs(architecture):
    return {"area": architecture["width"] + (architecture["kind"] == "b")}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two studies with their code beside them."""
    (tmp_path / "kitchen_costs.py").write_text(CODE)
    (tmp_path / "first.toml").write_text(STUDY.format(warm_start='architectures = "list.json"'))
    (tmp_path / "second.toml").write_text(STUDY.format(warm_start='study = "first"\nmost = 3'))
    (tmp_path / "list.json").write_text('[{"width": 7, "kind": "b"}, {"width": 9, "kind": "a"}]')
    return tmp_path


@pytest.fixture
def nasd(folder: Path, home: Path):
    return partial(command, home=home, folder=folder, timeout_s=90)


@pytest.mark.timeout(180)
def test_what_is_known_ahead_is_used_from_the_first_trial_to_the_replay(nasd, folder: Path):
    """Controller, workers and commands agree on it, and the next study begins where this one ended."""
    ended = nasd("run", "first.toml", "--workers", "1")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    trials = json.loads(nasd("trials", "first", "--json").stdout)
    best = max(
        (1 - each["val_error"] - 0.1 * log(each["objectives"]["area"]["value"] / 10), each["trial"])
        for each in trials
        if each["state"] == "completed"
    )

    assert "warm start: 2 architectures from list.json" in ended.stdout
    assert f"best by [scalar]: trial {best[1]}, " in ended.stdout
    assert f"by [scalar]: trial {best[1]}, " in nasd("status", "first").stdout
    assert [each["operator"] for each in trials[3:5]] == ["warm-start"] * 2
    over = [each for each in trials if each["objectives"]["area"]["value"] > 50]
    assert over
    assert all((each["state"], each["reason"]) == ("infeasible", "over_limit") for each in over)
    assert all(each["val_error"] is None and each["started_at"] is None for each in over)
    assert (
        nasd("replay", "first.toml", "--allow", "kitchen_costs").stdout == "first: 24 proposals recomputed, all equal\n"
    )

    (folder / "list.json").unlink()
    again = nasd("run", "second.toml", "--workers", "1")
    assert "warm start: 3 architectures from study first" in again.stdout, again.stdout + again.stderr
    assert again.returncode == 0
    assert nasd("replay", "second", "--allow", "kitchen_costs").returncode == 0
