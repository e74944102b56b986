"""A whole study over the user's own space, module, metric and data, as `nasd run` carries it out from anywhere."""

import json
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from fault_processes import nasd

from nasd.app.prepared import prepare
from nasd.app.users import check_functions, in_folder
from nasd.errors import UserError
from nasd.studyfile import load

pytestmark = pytest.mark.fault

STUDY = """
name = "kitchen"
[data]
load = "kitchen_code:load"
[space]
kind = "custom"
constraints = ["depth * width <= 64"]
[space.params]
depth = { int = [1, 3] }
width = { choice = [8, 16, 32] }
skip = { choice = [true, false], each = "depth" }
lr = { log = [1e-3, 1e-2], role = "recipe" }
[model]
build = "kitchen_code:Net"
[train]
steps = 10
batch = 16
metric = "kitchen_code:missed"
[objectives]
missed = { best = 0.0, worst = 1.0 }
params = {}
latency_ms = {}
[[limits]]
of = "params"
max = 900
[budget]
trials = 6
"""
CODE = """
import numpy as np
from torch import nn

class Net(nn.Module):
    def __init__(self, input_dim, output_dim, config):
        super().__init__()
        self.first = nn.Linear(input_dim, config["width"])
        self.rest = nn.ModuleList(nn.Linear(config["width"], config["width"]) for _ in config["skip"])
        self.skips, self.last = config["skip"], nn.Linear(config["width"], output_dim)
        assert len(config["skip"]) == config["depth"] and "lr" not in config

    def forward(self, x):
        x = self.first(x)
        for layer, skip in zip(self.rest, self.skips):
            x = layer(x).relu() + (x if skip else 0)
        return self.last(x)

def load():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1, 3, 4)).astype(np.float32)
    return x, (x.sum(axis=(1, 2, 3)) > 0).astype(int) + (x[:, 0, 0, 0] > 0)

def missed(predictions, targets):
    return np.mean(predictions.argmax(axis=1) != targets)
"""


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    """A study file with its code beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "kitchen_code.py").write_text(CODE)
    (folder / "kitchen.toml").write_text(STUDY)
    return folder / "kitchen.toml"


run = partial(nasd, timeout_s=150)


@pytest.mark.timeout(170)
def test_a_study_of_the_users_own_ends_with_a_front(kitchen: Path, home: Path, tmp_path: Path):
    """Its code is found beside its file, wherever the command is given; values, counts and limits are all there."""
    (tmp_path / "elsewhere").mkdir()

    ended = run("run", str(kitchen), "--workers", "1", home=home, folder=tmp_path / "elsewhere")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    shown = run("trials", "kitchen", "--json", home=home, folder=tmp_path)
    trials = json.loads(shown.stdout)
    states = [(trial["state"], trial["reason"]) for trial in trials]
    assert len(trials) == 6
    assert set(states) <= {("completed", None), ("infeasible", "over_limit")}, shown.stdout
    done = [trial for trial in trials if trial["state"] == "completed"]
    assert done
    assert all(trial["params"] <= 900 and trial["latency_ms"] > 0 for trial in done)
    assert all(0 <= trial["objectives"]["missed"]["value"] <= 1 for trial in done)
    assert any(trial["on_front"] for trial in done)


@pytest.mark.timeout(60)
def test_a_plan_trains_with_all_that_the_study_names(kitchen: Path, home: Path):
    """The first command a user gives: their module, their metric and their recipe are timed together."""
    shown = run("plan", str(kitchen), home=home, folder=kitchen.parent)

    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "random 5" in shown.stdout


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "kitchen_code:Net",
            "kitchen_code:Nett",
            'kitchen.toml:14: model.build = "kitchen_code:Nett": kitchen_code has',
        ),
        ("kitchen_code:missed", "kitchen_cod:missed", "kitchen.toml:18: train.metric"),
        ("kitchen_code:load", "kitchen_code:lod", "kitchen.toml:4: data.load"),
        ('build = "kitchen_code:Net"', 'build = "kitchen_code:Net"\ninit = "none.safetensors"', "toml:15: model.init"),
    ],
)
def test_what_can_not_be_had_is_told_before_anything_starts(kitchen: Path, old, new, words):
    """With the line to mend: a search that fails in its first trial has already started services and workers."""
    kitchen.write_text(STUDY.replace(old, new))

    with pytest.raises(UserError) as caught:
        prepare(kitchen)

    assert words in str(caught.value)
    assert "kitchen_code" not in sys.modules


LINGERING = """
import os, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
if not os.fork():
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    time.sleep(20)
    os._exit(0)
"""


@pytest.mark.timeout(40)
def test_code_that_goes_on_after_its_import_does_not_hold_us_up(kitchen: Path):
    """Libraries start threads and processes when they are imported; the answer is there long before they end."""
    (kitchen.parent / "kitchen_code.py").write_text(CODE + LINGERING)
    began = time.monotonic()

    with in_folder(kitchen.parent):
        check_functions(load(kitchen))

    assert time.monotonic() - began < 15


def test_code_that_ends_its_process_does_not_end_ours(kitchen: Path):
    """Checking users' code happens apart from the program that checks."""
    (kitchen.parent / "kitchen_code.py").write_text("import os\nos._exit(4)\n")

    with pytest.raises(UserError, match="ended the process"):
        prepare(kitchen)
