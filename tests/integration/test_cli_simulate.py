"""`nasd simulate`: files in, figures, rows and curves out; with a small table and a function of our own."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nasd.cli.main import run
from nasd.domain.architecture import Architecture
from nasd.errors import UserError
from nasd.simulator.table_files import read

PROGRAM = Path(sys.executable).with_name("nasd")
STUDY = '[objectives]\nval_error = {}\nparams = {}\n[strategy]\nuse = "nsga2"\npopulation = 6\n[budget]\ntrials = 60\n'
OWN = """
[space]
kind = "custom"
[space.params]
width = { int = [1, 64] }
depth = { int = [1, 4] }
[evaluation]
run = "simulated_function:run"
[objectives]
error = {}
size = {}
[budget]
trials = 30
"""
FUNCTION = """
def run(architecture, context):
    size = architecture["width"] * architecture["depth"]
    print("never seen")
    if size == 6:
        raise RuntimeError("six is too much")
    return {"error": 1 / size, "size": size SECONDS}
"""


def simulate(*arguments, code=0):
    done = subprocess.run(
        [PROGRAM, "simulate", *arguments], capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def table(tmp_path):
    """Four layers of three kinds, in NAS-Bench-Macro's columns; the first layer's identity changes nothing."""
    lines = ["arch,test_acc_run1,test_acc_run2,test_acc_run3,params,flops"]
    for word in product("012", repeat=4):
        n = int("".join(word[1:]), 3)
        accuracy = 95 - 40 / (n + 1)
        lines.append(
            f"{''.join(word)},{accuracy:.3f},{accuracy + 0.1:.3f},{accuracy - 0.2:.3f},{1000 + 50 * n},{10**6 * n}"
        )
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def own(folder, *, seconds):
    path = folder / "own.toml"
    path.write_text(OWN)
    extra = ', "duration_s": 100.0 * size' if seconds else ""
    (folder / "simulated_function.py").write_text(FUNCTION.replace(" SECONDS", extra))
    return path


def test_every_trial_of_every_run_is_a_row(study, table, tmp_path):
    """Strategy, seed and number identify a row; the architecture is JSON and objectives are columns."""
    out = tmp_path / "runs.csv"
    simulate(study, "--table", table, "--compare", "nsga2,random", "--seeds", "2", "--trials", "20", "--out", out)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert len({(row["strategy"], row["seed"], row["trial"]) for row in rows}) == len(rows) == 2 * 2 * 20
    assert all(Architecture.from_json(row["architecture"]).json == row["architecture"] for row in rows)
    assert all(0 <= float(row["proposed_at"]) < float(row["finished_at"]) for row in rows)
    assert all(0 < float(row["val_error"]) < 1 < float(row["params"]) for row in rows)
    assert {row["study"] for row in rows} == {"small"}


def test_a_given_ask_time_makes_the_rows_the_same_every_time(study, table, tmp_path):
    """Nothing of this machine's speed is left in them."""
    outs = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for out in outs:
        simulate(study, "--table", table, "--ask-time", "0.01", "--lost", "0.1", "--failures", "0.1", "--out", out)

    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_the_comparison_says_everything_a_claim_needs(study, table):
    found = json.loads(
        simulate(study, "--table", table, "--compare", "nsga2,random", "--seeds", "3", "--speeds", "1,2,4", "--json")
    )
    first, second = found["standings"]

    assert found["best_source"] == "the table's true front"
    assert list(first["hypervolume"]) == ["50", "60"]
    assert first["against_first"] == {}
    assert {"better", "worse", "p", "p_holm"} == set(next(iter(second["against_first"].values())))
    assert set(first["evaluations"]) == {"0.9", "0.95", "0.99"}
    assert first["utilisation"] > 0.9
    assert 0 < first["ask_median_s"] <= first["ask_p99_s"]


def test_the_tables_of_figures_name_every_strategy(study, table):
    text = simulate(study, "--table", table, "--compare", "nsga2,random", "--seeds", "2", "--trials", "20")

    assert "27 networks" in text
    assert text.count("random") >= 4


@pytest.mark.parametrize(("name", "begins"), [("curves.png", b"\x89PNG"), ("curves.html", b"<!doctype html>")])
def test_curves_are_drawn(study, table, tmp_path, name, begins):
    """A picture, or one file of HTML that needs no other."""
    path = tmp_path / name
    simulate(study, "--table", table, "--seeds", "2", "--trials", "15", "--plot", path)
    content = path.read_bytes()

    assert content.startswith(begins)
    assert b"src=" not in content or name.endswith("png")


def test_the_users_function_is_called_and_its_duration_believed(tmp_path):
    """Its exceptions are infeasible trials, as they would be on a worker."""
    out = tmp_path / "runs.csv"
    text = simulate(own(tmp_path, seconds=True), "--out", out, "--jitter", "0", "--speeds", "2", "--ask-time", "0")
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    done = [row for row in rows if row["state"] == "completed"]
    busy_s = sum(100 * float(row["size"]) / 2 for row in done) + (len(rows) - len(done)) / 2

    assert "duration_s" not in text
    assert max(float(row["finished_at"]) for row in rows) == pytest.approx(busy_s)
    assert all(float(row["error"]) == pytest.approx(1 / float(row["size"])) for row in done)


def test_a_function_without_durations_takes_a_second_and_that_is_said(tmp_path):
    assert "evaluations return no duration_s: each takes 1 s" in simulate(own(tmp_path, seconds=False))


def test_a_described_csv_is_read(tmp_path):
    """Columns of options, runs with a scale, a duration and a bound."""
    (tmp_path / "mine.csv").write_text(
        "kind,width,acc1,acc2,size,seconds\n"
        + "".join(
            f"{kind},{width},{90 - width},{91 - width},{width * 10},{width}\n" for kind in "ab" for width in (8, 16)
        )
    )
    (tmp_path / "mine.toml").write_text(
        '[table]\nfile = "mine.csv"\narchitecture = ["kind", "width"]\nordered = ["width"]\nduration_s = "seconds"\n'
        "useful = { val_error = 0.3 }\n[table.values]\n"
        'val_error = { columns = ["acc1", "acc2"], scale = -0.01, offset = 1.0 }\nparams = "size"\n'
    )
    found = read(str(tmp_path / "mine.toml"))

    assert found.columns == {"kind": ["a", "a", "b", "b"], "width": [8, 16, 8, 16]}
    assert np.allclose(found.values["val_error"][0], [0.18, 0.17])
    assert found.duration_s.tolist() == [8, 16, 8, 16]
    assert found.useful == {"val_error": 0.3}


def test_an_npz_of_fc_nets_shape_is_read(tmp_path):
    """Indices become the options that FC-Net's README names; one of several data sets is asked for by name."""
    columns = ["activation_fn_1", "n_units_1"]
    config = np.array(list(product(range(2), range(6))), dtype=np.uint8)
    arrays = {"config": config, "columns": np.array(columns)}
    for name in ("one", "two"):
        arrays[f"{name}__val_loss"] = np.arange(48, dtype=np.float32).reshape(12, 4)
        arrays[f"{name}__train_time"] = np.arange(1, 13, dtype=np.float32)
        arrays[f"{name}__model_size"] = np.arange(100, 112, dtype=np.float32)
    path = tmp_path / "fc.npz"
    np.savez(path, **arrays)
    found = read(f"{path}#two")

    assert found.columns["activation_fn_1"][-1] == "tanh"
    assert found.columns["n_units_1"][5] == 512
    assert found.values["val_loss"].shape == (12, 4)
    with pytest.raises(UserError, match="data sets in it: one, two"):
        read(str(path))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("not = [toml", "not TOML"),
        ('[table]\nfile = "a.csv"\n', "table.architecture is missing"),
        ('[table]\nfile = "no.csv"\narchitecture = "arch"\nvalues = {}\n', "no such file beside it"),
        ('[table]\nfile = "a.csv"\narchitecture = "word"\nvalues = {}\n', "has no column word; it has arch, acc"),
        ('[table]\nfile = "a.csv"\narchitecture = "arch"\nvalues = { e = 3 }\n', 'write "column"'),
        ('[table]\nfile = "a.csv"\narchitecture = "arch"\nvalues = { e = "arch" }\n', "column of numbers"),
        ('[table]\nfile = "a.csv"\nshape = 1\n', "table.shape: no such key"),
    ],
)
def test_a_wrong_description_is_one_sentence(tmp_path, content, says):
    (tmp_path / "a.csv").write_text("arch,acc\nxx,1\nxy,2\n")
    (tmp_path / "t.toml").write_text(content)

    with pytest.raises(UserError, match=says.replace("[", r"\[")):
        read(str(tmp_path / "t.toml"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "trains its networks, which no simulation can foresee. Give --table"),
        (("--table", "none.csv"), "--table none.csv: no such file"),
        (("--speeds", "1,fast"), "--speeds 1,fast: must be numbers above 0"),
        (("--speeds", "1,2", "--workers", "3"), "2 speeds for --workers 3"),
        (("--ask-time", "soon"), '--ask-time soon: must be "real" or seconds'),
        (("--useful", "val_error"), "must be NAME=NUMBER"),
        (("--plot", "curves.pdf"), "must end in .png or .html"),
        (("--out", "nowhere/runs.csv"), "--out nowhere/runs.csv: no such folder"),
    ],
)
def test_a_mistake_is_one_sentence(study, options, says, capsys):
    """Told before anything is simulated."""
    code = run(["simulate", str(study), *options])
    printed = capsys.readouterr()

    assert (code, printed.out) == (2, "")
    assert says in printed.err
    assert printed.err.count("\n") == 1


def test_an_unknown_strategy_is_named_with_those_that_are_known(study, table):
    assert "--compare magic: no such strategy; known: " in simulate(
        study, "--table", table, "--compare", "nsga2,magic", code=2
    )
