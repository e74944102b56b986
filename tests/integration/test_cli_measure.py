"""`nasd measure` on a given database: what it stores and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from database import Scene
from reading_scene import program_in_process


@pytest.fixture
def nasd(scene: Scene, monkeypatch, capsys):
    """Runs a command in this process on the test's database; (exit code, stdout, stderr)."""
    scene.study()
    return program_in_process(scene.database.controller, monkeypatch, capsys)


def row(scene: Scene) -> tuple:
    ((spec, state, joined, wanted),) = scene.database.rows("select spec, state, joined, wanted from nasd_core.study")
    on = {each["name"]: each["on"] for each in spec["objectives"]}
    return on["latency_ms"], spec["devices"], state, joined, wanted


def test_a_new_kind_is_asked_for_with_its_options(nasd, scene: Scene):
    """The leader finds it in the row; the user is told what will be done and where to look."""
    scene.database.rows("update nasd_core.study set state = 'completed', finished_at = now()")
    code, out, err = nasd("measure", "study", "--device", "pi5", "--all", "--runtime", "onnxruntime", "--threads", "4")

    assert (code, err) == (0, "")
    assert out == (
        "study: everything that completed will be measured on pi5 (onnxruntime on cpu, fp32, 4 threads, batch 1); "
        "see `nasd status study`\n"
    )
    on, devices, state, joined, wanted = row(scene)
    assert (on, state, joined, wanted) == (["local", "pi5"], "running", {"local": 0}, {"pi5": "all"})
    assert devices["pi5"]["runtime"] == "onnxruntime"


def test_a_known_kind_is_measured_where_it_missed_some(nasd, scene: Scene):
    """A board that was away for a while; its settings stay what they are."""
    assert nasd("measure", "study", "--device", "local")[0] == 0
    assert row(scene)[4] == {"local": "front"}
    code, _, err = nasd("measure", "study", "--device", "local", "--threads", "2")
    assert (code, err.count("\n")) == (2, 1)
    assert 'study "study" measures on local already' in err


def test_a_study_file_says_how_its_new_kind_is_measured(nasd, scene: Scene, tmp_path: Path):
    """The user wrote the board into the file first."""
    text = """
name = "study"
[objectives]
val_error = {}
latency_ms = { on = ["local", "orin"] }
params = {}
[devices.orin]
runtime = "onnxruntime"
provider = "cuda"
[budget]
trials = 10
"""
    path = tmp_path / "study.toml"
    path.write_text(text)
    code, out, err = nasd("measure", path, "--device", "orin")
    assert (code, err) == (0, "")
    assert "on orin (onnxruntime:cuda" in out or "on orin (onnxruntime on cuda" in out
    assert row(scene)[:2] == (["local", "orin"], json.loads(json.dumps(row(scene)[1])))
    assert row(scene)[1]["orin"]["provider"] == "cuda"

    path.write_text(text.replace("orin", "pi6").replace("trials = 10", "trials = 10\n[train]\nsteps = 7"))
    code, _, err = nasd("measure", path, "--device", "pi6")
    assert code == 2
    assert "train.steps" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nothing", "--device", "pi5"), 'there is no study "nothing"; known: study'),
        (("study", "--device", "Pi 5"), "--device Pi 5: is no name of a device kind"),
        (("study", "--device", "any"), "--device any: is no name of a device kind"),
        (("study", "--device", "pi5", "--of", "params"), "params: is no measured objective of study study"),
        (("study", "--device", "pi5", "--precision", "int8"), "torch-eager can't do it"),
        (("study", "--device", "pi5", "--runtime", "onnxruntime", "--provider", "x"), "has no such provider"),
    ],
)
def test_a_mistake_is_one_sentence(nasd, scene: Scene, arguments, says):
    """With what to do about it, and nothing is stored."""
    before = row(scene)
    code, _, err = nasd("measure", *arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert says in err
    assert row(scene) == before


def test_a_stopped_study_is_taken_up_first(nasd, scene: Scene):
    """Measuring it would begin proposing again."""
    scene.studies.stop("study")
    code, _, err = nasd("measure", "study", "--device", "pi5")
    assert code == 2
    assert "nasd resume study" in err
