"""Fronts by device kind on a real database: views against brute force, and what the commands say of them."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import psycopg
import pytest
from database import Scene
from devices_scene import KINDS, NAME, DeviceScene, brute_force, random_values, raw_losses
from reading_scene import program_in_process
from scipy.stats import kendalltau


@pytest.fixture
def nasd(scene: Scene, monkeypatch, capsys):
    """Runs a command in this process on the test's database; (exit code, stdout, stderr)."""
    return program_in_process(scene.database.reader, monkeypatch, capsys)


@pytest.fixture
def played(scene: Scene) -> DeviceScene:
    return DeviceScene(scene, random_values(40))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kinds_front_is_what_brute_force_finds_in_the_raw_rows(played: DeviceScene, kind):
    """The claim of the whole product, for every device, from what was measured on it."""
    losses = raw_losses(played.scene, kind)
    rows = played.scene.database.rows(
        "select trial, val_error, latency_ms, params from nasd.pareto_front where study = %s and device_kind = %s",
        NAME,
        kind,
    )

    assert {trial for trial, *_ in rows} == brute_force(losses)
    assert {trial: tuple(values) for trial, *values in rows} == {trial: losses[trial] for trial, *_ in rows}


def test_the_fronts_differ_and_a_trial_that_one_kind_lacks_is_on_the_others(played: DeviceScene):
    """Otherwise the scene would show nothing: one front would do for all."""
    fronts = {kind: brute_force(raw_losses(played.scene, kind)) for kind in KINDS}
    partly = {number for number, values in enumerate(played.values) if not all(kind in values for kind in KINDS)}

    assert len({frozenset(front) for front in fronts.values()}) == len(KINDS)
    assert any(front & partly for front in fronts.values())


def test_device_trials_has_a_row_for_each_trial_and_kind(played: DeviceScene):
    """What is not measured is NULL with its state beside it, never missing and never a stand-in."""
    with psycopg.connect(played.scene.database.reader) as connection:
        rows = connection.execute(
            "select trial, device_kind, measured, latency_ms, latency_spread, latency_n, on_front from device_trials"
        ).fetchall()

    assert len(rows) == len(played.values) * len(KINDS)
    fronts = {kind: brute_force(raw_losses(played.scene, kind)) for kind in KINDS}
    for trial, kind, measured, latency, spread, n, on_front in rows:
        known = played.values[trial].get(kind)
        assert (measured, latency, spread, n) == (("completed", known, 0.02, 50) if known else (None, None, None, None))
        assert on_front == (trial in fronts[kind])


def test_front_prints_one_table_a_kind_or_the_one_asked_for(nasd, played: DeviceScene):
    """Each table holds the latencies of its own kind."""
    _, text, _ = nasd("front", NAME)
    assert [line for line in text.splitlines() if line.startswith("front of")] == [
        f"front of {NAME} on {kind}: {len(brute_force(raw_losses(played.scene, kind)))} members" for kind in KINDS
    ]

    rows = list(csv.DictReader(io.StringIO(nasd("front", NAME, "--device", "orin", "--format", "csv")[1])))
    assert {int(row["trial"]): float(row["latency_ms"]) for row in rows} == {
        trial: played.values[trial]["orin"] for trial in brute_force(raw_losses(played.scene, "orin"))
    }


def test_front_as_json_has_what_every_device_measured(nasd, played: DeviceScene):
    """Who ships to three boards compares one network on all of them."""
    members = json.loads(nasd("front", NAME, "--devices", "pi5,orin", "--json")[1])

    assert {member["device_kind"] for member in members} == {"pi5", "orin"}
    for member in members:
        known = played.values[member["trial"]]
        said = {
            kind: entry and entry["latency_ms"] and entry["latency_ms"]["value"]
            for kind, entry in member["devices"].items()
        }
        assert said == {kind: known.get(kind) for kind in KINDS}
        assert member["latency_ms"] == known[member["device_kind"]]


@pytest.mark.parametrize("options", [("--device", "pi4"), ("--devices", "pi5,pi4")])
def test_front_of_an_unknown_kind_is_refused_with_the_known_ones(nasd, played: DeviceScene, options):
    """An empty table would look like an answer."""
    code, _, error = nasd("front", NAME, *options)
    assert (code, error) == (2, f'error: study "{NAME}" has no front for "pi4"; its kinds: local, pi5, orin\n')


def test_trials_and_status_tell_the_kinds_apart(nasd, played: DeviceScene):
    """The lists that people look at first."""
    header, first, *_ = nasd("trials", NAME, "--limit", "100")[1].splitlines()
    assert [word for word in header.split() if word.startswith("latency_ms")] == [
        "latency_ms",
        "latency_ms@pi5",
        "latency_ms@orin",
    ]
    assert first.split()[0] == "0"

    n = sum("pi5" in values for values in played.values)
    assert f"device    pi5: {n} measured, 0 running, 0 queued\n" in nasd("status", NAME)[1]
    devices = json.loads(nasd("status", NAME, "--json")[1])["devices"]
    assert [(each["device_kind"], each["n_measured"]) for each in devices if each["device_kind"] == "pi5"] == [
        ("pi5", n)
    ]


def test_show_lists_the_files_of_a_trial(nasd, played: DeviceScene):
    """Which file did the board run? Its hash is the answer."""
    played.scene.database.rows(
        "insert into nasd_core.artifact (study_id, trial_id, format, sha256, n_bytes) "
        "select study_id, id, 'onnx-int8', repeat('ab', 32), 22105 from nasd_core.trial where number = 3"
    )
    assert f"onnx-int8  22,105  {'ab' * 32}" in nasd("show", NAME, 3)[1]
    (file,) = json.loads(nasd("show", NAME, 3, "--json")[1])["artifacts"]
    assert (file["format"], file["n_bytes"], file["sha256"]) == ("onnx-int8", 22105, "ab" * 32)
    assert "files" not in nasd("show", NAME, 4)[1]


def test_devices_compare_says_what_scipy_says_of_the_rows(nasd, played: DeviceScene):
    """The mismatch between devices is a claim about hardware; it must come from common trials alone."""
    said = json.loads(nasd("devices", "compare", NAME, "--json")[1])

    for pair in said["pairs"]:
        one, other = pair["kinds"]
        common = [values for values in played.values if one in values and other in values]
        expected = kendalltau([each[one] for each in common], [each[other] for each in common]).statistic
        assert (pair["latency"]["n"], pair["latency"]["kendall"]) == (len(common), pytest.approx(expected))
        fronts = [brute_force(raw_losses(played.scene, kind)) for kind in pair["kinds"]]
        assert pair["shared"] == sorted(fronts[0] & fronts[1])
        assert pair["jaccard"] == pytest.approx(len(fronts[0] & fronts[1]) / len(fronts[0] | fronts[1]))


def test_a_member_that_falls_off_is_beaten_there_by_whom_it_says(nasd, played: DeviceScene):
    """Each is checked against the rows: off that front, measured there, and dominated by each that is named."""
    said = json.loads(nasd("devices", "compare", NAME, "--json")[1])
    assert said["fallen"]
    for each in said["fallen"]:
        there = raw_losses(played.scene, each["on"])
        mine = there[each["trial"]]
        assert each["trial"] in brute_force(raw_losses(played.scene, each["of"])) - brute_force(there)
        assert each["beaten_by"]
        for other in each["beaten_by"]:
            assert all(a <= b for a, b in zip(there[other], mine, strict=True))
        at_home = raw_losses(played.scene, each["of"])
        noise = (2 * 0.02**2) ** 0.5
        assert each["is_clear"] == any(
            at_home[other][1] - at_home[each["trial"]][1] > noise and mine[1] - there[other][1] > noise
            for other in each["beaten_by"]
            if other in at_home
        )
    for each in said["not_measured"]:
        assert all(each["on"] not in played.values[trial] for trial in each["trials"])


def test_devices_compare_speaks_to_people_and_fails_what_is_alike(nasd, played: DeviceScene):
    """A fleet whose kinds differ in label alone must not pass its own test."""
    code, text, _ = nasd("devices", "compare", NAME, "--max-tau", "0.9")
    assert (code, "TOO ALIKE" in text) == (0, False)
    assert "local and pi5" in text
    assert "torch-eager, fp32, batch 8, 1 thread" in text
    assert "beaten there by" in text

    code, text, _ = nasd("devices", "compare", NAME, "--max-tau", "-1")
    assert (code, text.count("TOO ALIKE")) == (1, 3)


def test_pick_answers_for_one_device(nasd, played: DeviceScene):
    """`which one do I ship?`: the most accurate that keeps the limit there, by brute force over the rows."""
    losses = raw_losses(played.scene, "orin")
    members = {trial: losses[trial] for trial in brute_force(losses)}
    limit = sorted(latency for _, latency, _ in members.values())[len(members) // 2]
    best = min((error, trial) for trial, (error, latency, _) in members.items() if latency <= limit)

    code, text, _ = nasd("pick", NAME, "--device", "orin", "--limit", f"latency_ms={limit}")
    said = json.loads(nasd("pick", NAME, "--device", "orin", "--limit", f"latency_ms={limit}", "--json")[1])

    assert (code, said["trial"], said["by"]) == (0, best[1], "val_error")
    assert text.startswith(f"pick of {NAME} on orin: trial {best[1]}")
    assert said["values"]["latency_ms"]["value"] == losses[best[1]][1]
    assert f"asked for <= {limit:g}" in text
    assert [each["trial"] for each in said["level"]] == [
        trial
        for error, trial in sorted((e, t) for t, (e, la, _) in members.items() if la <= limit)[1:]
        if error - best[0] <= 2 * (2 * 0.01**2) ** 0.5
    ]


def test_pick_needs_a_device_where_there_are_several_and_refuses_the_impossible(nasd, played: DeviceScene):
    """Each mistake is one sentence that says what would do."""
    assert nasd("pick", NAME)[0::2] == (
        2,
        f'error: study "{NAME}" has a front for each of local, pi5, orin: say which with --device KIND\n',
    )
    losses = raw_losses(played.scene, "pi5")
    nearest = min(losses[trial][1] for trial in brute_force(losses))
    code, _, error = nasd("pick", NAME, "--device", "pi5", "--limit", "latency_ms=0.001")
    assert (code, f"latency_ms {nearest:.4g}" in error, error.count("\n")) == (2, True, 1)


def test_asking_loads_nothing_heavy(played: DeviceScene, tmp_path):
    """A question must not wait for torch; comparing loads scipy for its correlations and no more."""
    light = [["pick", NAME, "--device", "pi5"], ["front", NAME, "--plot", str(tmp_path / "page.html")]]
    cases = {
        ("torch", "pymoo", "optuna", "sqlalchemy", "redis", "rq", "sklearn", "scipy", "numpy", "rich"): light,
        ("torch", "pymoo", "optuna", "sqlalchemy", "redis", "rq", "sklearn"): [["devices", "compare", NAME]],
    }
    environment = {"NASD_DATABASE_URL": played.scene.database.reader, "NASD_REDIS_URL": "redis://not-needed"}
    for heavy, commands in cases.items():
        code = (
            "import sys\nfrom nasd.cli.main import run\n"
            f"codes = [run(command) for command in {commands!r}]\n"
            f"print('HEAVY', [name for name in {heavy!r} if name in sys.modules], set(codes))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environment
        )
        assert done.stdout.splitlines()[-1] == "HEAVY [] {0}"
