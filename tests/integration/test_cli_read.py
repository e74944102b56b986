"""The reading commands on a real database: what they say, to people and to programs, and what they refuse."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest
from database import Scene
from reading_scene import TRACEBACK, play, program_in_process

READING = ("status", "front", "trials", "show", "logs")


@pytest.fixture
def nasd(scene: Scene, monkeypatch, capsys):
    """Runs a command in this process on the test's database; (exit code, stdout, stderr)."""
    return program_in_process(scene.database.reader, monkeypatch, capsys)


@pytest.fixture
def played(scene: Scene) -> Scene:
    play(scene)
    return scene


def test_status_tells_progress_front_and_workers(nasd, played: Scene):
    """The one command somebody runs while a search goes on must answer every usual question."""
    code, text, _ = nasd("status", "study")

    assert code == 0
    assert "3 of 10 done: 2 completed, 1 running, 1 queued, 1 infeasible" in text
    assert "42 s used" in text
    assert "trials a minute" in text
    assert "left" in text
    assert "local: 2 members, hypervolume 0.5000" in text
    assert "host-1 (local); 6 attempts; 60% busy, 10% paused, 30% idle" in text


def test_status_says_why_nothing_moves(nasd, scene: Scene):
    """A study that stands still without a word looks like one that works."""
    scene.trial(scene.study())
    _, text, _ = nasd("status", "study")
    assert "STANDS    stalled: 2 evaluations wait, no worker is alive" in text

    scene.leadership.close()
    _, text, _ = nasd("status", "study")
    assert "STANDS    no controller runs" in text


def test_status_as_json_holds_what_the_text_says(nasd, played: Scene):
    """Scripts must not parse sentences."""
    said = json.loads(nasd("status", "study", "--json")[1])

    assert (said["n_done"], said["trials_budget"], said["n_controllers"]) == (3, 10, 1)
    assert said["left_s"] > 0
    assert said["standstill"] is None
    assert said["fronts"][0]["front_size"] == 2
    assert said["workers"][0]["shares"] == {"busy": 0.6, "paused": 0.1, "idle": 0.3}


def test_status_without_a_study_has_a_line_for_each(nasd, played: Scene):
    """Who has several studies asks for all of them first."""
    played.study("other")

    lines = nasd("status")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["study", "study", "other"]
    assert [each["study"] for each in json.loads(nasd("status", "--json")[1])] == ["study", "other"]


def test_front_is_sorted_by_the_first_objective_with_units_and_baselines(nasd, played: Scene):
    """The result of the whole product, as a person reads it."""
    _, text, _ = nasd("front", "study")
    title, header, best, other = text.splitlines()

    assert title == "front of study on local: 2 members"
    assert header.split() == ["trial", "val_error", "(fraction)", "latency_ms", "params", "baseline", "architecture"]
    assert best.split("  ")[-1] == "widths=129-64 relu norm=none dropout=0.1"
    assert "0.02000 ± 0.0030" in best
    assert "small" in other


def test_front_as_csv_has_units_spreads_and_the_architecture(nasd, played: Scene):
    """A spreadsheet is where many results end up."""
    best, other = csv.DictReader(io.StringIO(nasd("front", "study", "--format", "csv")[1]))

    assert (best["trial"], best["val_error (fraction)"], best["latency_ms"]) == ("1", "0.02", "0.2")
    assert best["spread of latency_ms"] == "0.011"
    assert json.loads(best["architecture"])["widths"] == [129, 64]
    assert other["baseline"] == "small"


def test_front_as_json_is_the_view(nasd, played: Scene):
    """JSON and SQL must tell the same."""
    members = json.loads(nasd("front", "study", "--device", "local", "--format", "json")[1])

    assert [member["trial"] for member in members] == [1, 0]
    assert members[0]["objectives"]["latency_ms"] == {"value": 0.2, "unit": "ms", "spread": 0.011, "n": 5}


def test_trials_lists_every_state_with_origin_and_reason(nasd, played: Scene):
    """A failed trial that a list leaves out is never looked at."""
    lines = nasd("trials", "study")[1].splitlines()[1:]

    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3", "4"]
    assert "*  completed" in lines[1]
    assert "baseline small" in lines[0]
    assert "mutation of 0" in lines[2]
    assert lines[2].endswith("diverged")


def test_trials_can_be_narrowed(nasd, played: Scene):
    """With ten thousand trials only some are wanted."""
    assert [row["trial"] for row in json.loads(nasd("trials", "study", "--json")[1])] == [0, 1, 2, 3, 4]
    assert [row["trial"] for row in json.loads(nasd("trials", "study", "--state", "queued", "--json")[1])] == [4]
    assert nasd("trials", "study", "--state", "failed")[1] == "study study has no failed trials\n"
    _, text, note = nasd("trials", "study", "--limit", "2")
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["3", "4"]
    assert note == "the newest 2 of 5; more with --limit\n"


def test_show_tells_everything_that_is_known(nasd, played: Scene):
    """One place where a surprising result can be followed to its origin."""
    _, text, _ = nasd("show", "study", 1)

    for part in (
        "trial 1 of study: completed",
        "mutation of trials 0",
        "300 steps, seed 71",
        "as result 2",
        "widths      [129,64]",
        "measure on local, round 1: completed after 1 of 3 attempts",
        "attempt 1 by host-1",
        "evaluate 1.5 s",
        '{"threads":1}',
        "0.011",
        "entered with result 2",
        "is on it now",
        "proposed",
    ):
        assert part in text


def test_show_of_a_running_trial_tells_its_progress(nasd, played: Scene):
    """What is not finished has something to say too."""
    text = nasd("show", "study", 3)[1]

    assert "train on local, round 1: running after 1 of 3 attempts" in text
    assert 'now: {"step":12,"paused_s":0.0}' in text
    assert "fronts: never on one" in text


def test_show_as_json_has_all_parts(nasd, played: Scene):
    """The same for programs."""
    said = json.loads(nasd("show", "study", 2, "--json")[1])

    assert said["trial"]["reason"] == "diverged"
    assert said["attempts"][0]["log"] == TRACEBACK
    assert (said["measurements"], said["fronts"]) == ([], [])
    assert [event["kind"] for event in said["events"]] == ["proposed", "leased", "infeasible"]


def test_logs_prints_output_and_traceback_of_each_attempt(nasd, played: Scene):
    """Why did it fail? The answer is in the database, not on some worker's disk."""
    assert TRACEBACK in nasd("logs", "study", 2)[1]
    assert nasd("logs", "study", 1)[1].count("epoch 2") == 2
    assert "still running" in nasd("logs", "study", 3)[1]
    assert "no worker has begun" in nasd("logs", "study", 4)[1]
    assert [a["stage"] for a in json.loads(nasd("logs", "study", 1, "--json")[1])] == ["measure", "train"]


@pytest.mark.parametrize("command", [("status",), ("front",), ("trials",), ("show", 0), ("logs", 0)])
def test_an_unknown_study_is_answered_with_the_known_ones(nasd, played: Scene, command):
    """The commonest mistake is a slip of the pen."""
    assert nasd(command[0], "stuby", *command[1:]) == (
        2,
        "",
        'error: there is no study "stuby"; known: study\n',
    )


@pytest.mark.parametrize("command", ["show", "logs"])
def test_an_unknown_trial_is_answered_with_the_range(nasd, played: Scene, command):
    """Numbers begin at 0; somebody will ask for one too many."""
    assert nasd(command, "study", 5) == (2, "", 'error: study "study" has no trial 5; its trials are 0 to 4\n')


def test_an_unknown_device_kind_is_answered_with_the_known_ones(nasd, played: Scene):
    """An empty front would look like an answer."""
    code, _, error = nasd("front", "study", "--device", "pi5")
    assert (code, error) == (2, 'error: study "study" has no front for "pi5"; its kinds: local\n')


def test_a_study_may_be_named_by_its_file(nasd, played: Scene, tmp_path):
    """Who has just typed `nasd run kitchen.toml` changes one word."""
    (tmp_path / "other.toml").write_text('name = "study"\nbroken = [1]\n')
    (tmp_path / "study.toml").write_text("")

    for file in ("other.toml", "study.toml"):
        assert nasd("front", tmp_path / file)[1].startswith("front of study")
    missing = tmp_path / "none.toml"
    assert nasd("status", missing) == (2, "", f"error: {missing}: can't be read: No such file or directory\n")


def test_a_folder_without_a_home_is_answered_with_what_to_do(nasd, monkeypatch, tmp_path):
    """Nothing may be started or created by a question."""
    monkeypatch.delenv("NASD_DATABASE_URL")
    monkeypatch.delenv("NASD_REDIS_URL")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kitchen.toml").write_text("")

    code, _, error = nasd("status")
    assert (code, "nasd run" in error) == (2, True)
    code, _, error = nasd("front", "kitchen.toml")
    assert (code, "`nasd run kitchen.toml`" in error) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["kitchen.toml"]


def test_a_database_of_another_version_is_refused(nasd, played: Scene):
    """Half-understood rows are worse than none."""
    played.database.rows("update nasd_core.alembic_version set version_num = '0000'")
    code, _, error = nasd("status")

    assert code == 2
    assert "newer than this nasd knows" in error


def test_an_unreachable_database_is_one_sentence(nasd, monkeypatch):
    """No driver's traceback for a typing error in a URL."""
    monkeypatch.setenv("NASD_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    code, _, error = nasd("status")

    assert code == 2
    assert error.startswith("error: NASD_DATABASE_URL: the database can't be reached: ")
    assert error.count("\n") == 1


def test_reading_commands_import_nothing_heavy(played: Scene):
    """`watch nasd status` must not load torch, pymoo or an object mapper every two seconds."""
    heavy = ("torch", "pymoo", "optuna", "sqlalchemy", "sqlmodel", "redis", "rq", "sklearn", "scipy", "numpy", "rich")
    commands = [["status"], ["status", "study"], ["front", "study"], ["trials", "study"], ["show", "study", "1"]]
    commands += [["logs", "study", "1"], ["psql", "-c", "select 1"], ["db", "url"]]
    code = (
        "import sys\nfrom nasd.cli.main import run\n"
        f"codes = [run(command) for command in {commands!r}]\n"
        f"print('HEAVY', [name for name in {heavy!r} if name in sys.modules], set(codes))"
    )
    environment = {"NASD_DATABASE_URL": played.database.reader, "NASD_REDIS_URL": "redis://not-needed"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environment
    )

    assert done.stdout.splitlines()[-1] == "HEAVY [] {0}"
