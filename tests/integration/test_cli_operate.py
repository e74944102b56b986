"""The operating commands and the database's: on a given database, and on an embedded pair of their own."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from database import Scene
from reading_scene import play, program_in_process

from nasd.store.migrate import known


@pytest.fixture
def nasd(scene: Scene, monkeypatch, capsys):
    """Runs a command in this process on the test's database; (exit code, stdout, stderr)."""
    return program_in_process(scene.database.controller, monkeypatch, capsys)


def program(*arguments: object, home: Path, **more) -> subprocess.CompletedProcess:
    """The program as a user has it, on the embedded pair of a home."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NASD_")}
    return subprocess.run(
        [Path(sys.executable).with_name("nasd"), *map(str, arguments)],
        env=environment | {"NASD_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **more,
    )


def state(scene: Scene) -> str:
    return scene.database.rows("select state from nasd.studies where study = 'study'")[0][0]


def test_a_study_can_be_paused_and_resumed(nasd, scene: Scene):
    """Somebody needs the machine for an hour."""
    play(scene)

    assert nasd("pause", "study")[:2] == (0, "study is paused; 2 trials in flight will still finish\n")
    assert state(scene) == "paused"
    assert nasd("resume", "study") == (0, "study is running\n", "")
    assert state(scene) == "running"


def test_resume_says_when_nobody_would_act_on_it(nasd, scene: Scene):
    """A running study without a controller does nothing, and should say so at once."""
    scene.study()
    scene.leadership.close()

    assert nasd("resume", "study")[2] == "no controller runs: `nasd run` its study file, or start `nasd controller`\n"


def test_stop_cancels_what_is_in_flight_and_keeps_the_front(nasd, scene: Scene):
    """Enough is enough, but nothing learned is lost."""
    play(scene)

    assert nasd("stop", "study")[:2] == (0, "study is stopped; 2 trials in flight cancelled\n")
    assert state(scene) == "stopped"
    assert scene.database.rows("select count(*) from nasd.pareto_front") == [(2,)]
    assert scene.database.rows("select count(*) from nasd.evaluations where state in ('queued', 'running')") == [(0,)]


def test_delete_is_refused_while_trials_run(nasd, scene: Scene):
    """Workers would train for a study that is gone."""
    play(scene)
    code, _, error = nasd("delete", "study", "--yes")

    assert (code, state(scene)) == (2, "running")
    assert error == 'error: study "study" has 1 evaluation running: end them first with `nasd stop study`\n'


def test_delete_asks_unless_told_not_to(nasd, scene: Scene, monkeypatch):
    """It can't be undone."""
    play(scene)
    nasd("stop", "study")
    monkeypatch.setattr("sys.stdin", io.StringIO())  # as in a script

    assert (
        nasd("delete", "study")[2] == "error: study study with 5 trials would be deleted for good: say so with --yes\n"
    )
    assert state(scene) == "stopped"
    assert nasd("delete", "study", "--yes") == (0, "study study with 5 trials is deleted\n", "")
    assert scene.database.rows("select count(*) from nasd.studies") == [(0,)]


@pytest.mark.parametrize("command", ["pause", "resume", "stop", "delete"])
def test_an_unknown_study_is_answered_with_the_known_ones(nasd, scene: Scene, command):
    """The same sentence whatever is done to it."""
    scene.study()

    assert nasd(command, "stuby")[2] == 'error: there is no study "stuby"; known: study\n'


def test_psql_prints_a_table_that_pipes_can_read(nasd, scene: Scene):
    """`nasd psql -c "select * from pareto_front"` is the product's third promise."""
    play(scene)

    code, text, _ = nasd("psql", "-c", "select trial, val_error, architecture from pareto_front order by trial")
    assert code == 0
    assert text.splitlines()[0].split() == ["trial", "val_error", "architecture"]
    assert text.splitlines()[1].split()[:2] == ["0", "0.04"]
    assert '"widths":[128,64]' in text
    assert nasd("psql", "-c", "select * from pareto_front")[0] == 0


def test_psql_prints_csv_and_several_results(nasd, scene: Scene):
    """NULL is empty; text with commas and quotes survives."""
    assert nasd("psql", "--csv", "-c", "select 1 as a, null as b, 'x,\"y\"' as c")[1] == 'a,b,c\n1,,"x,""y"""\n'
    assert nasd("psql", "-c", "select 1 as a; select 'ä%s' as b")[1] == "a\n1\nb\nä%s\n"


def test_psql_answers_a_mistake_with_one_sentence(nasd, scene: Scene):
    """Where and what, without a traceback."""
    code, text, error = nasd("psql", "-c", "select vall_error from trials")

    assert (code, text) == (2, "")
    assert error.startswith('error: SQL: column "vall_error" does not exist (at character 8)')
    assert error.count("\n") == 1


def test_psql_as_reader_can_not_write(nasd, scene: Scene):
    """Whoever looks must not be able to break a search, even with an owner's URL."""
    assert "read-only transaction" in nasd("psql", "-c", "delete from nasd_core.trial")[2]
    assert nasd("psql", "--role", "controller", "-c", "delete from nasd_core.trial") == (0, "DELETE 0\n", "")


def test_db_upgrade_of_a_given_database_is_repeatable(nasd, scene: Scene, monkeypatch):
    """Deployments run it every time."""
    monkeypatch.setenv("NASD_DATABASE_URL", scene.database.admin)

    assert nasd("db", "upgrade")[:2] == (0, f"the schema is at {known()[-1]}\n")


def test_db_url_prints_the_address_alone(nasd, scene: Scene):
    """`$(nasd db url)` must be usable; the warning goes elsewhere."""
    code, text, note = nasd("db", "url")

    assert (code, text) == (0, f"{scene.database.controller}\n")
    assert "holds a password" in note


def test_the_embedded_database_is_made_read_and_ended(home: Path):
    """Everything here without a URL: what somebody has after `pip install`."""
    assert program("services", "up", home=home).returncode == 0
    refused = program("status", home=home)
    assert (refused.returncode, "nasd db upgrade" in refused.stderr) == (2, True)
    made = program("db", "upgrade", home=home)
    assert made.stdout == f"the schema is at {known()[-1]}, it was at none\n"

    assert program("status", home=home).stdout.startswith("no studies yet")
    assert program("psql", "-c", "select version from schema_version", home=home).stdout == f"version\n{known()[-1]}\n"
    pair = json.loads(program("services", "status", "--json", home=home).stdout)
    assert (pair["is_ready"], pair["is_kept"], pair["home"]) == (True, True, str(home))
    text = program("services", "status", home=home).stdout
    assert f"pid {pair['postgres_pid']}" in text
    assert program("services", "down", home=home).stdout == f"ended in {home}\n"
    assert "does not run" in program("services", "status", home=home).stdout


def test_the_prompt_is_psql_itself_and_hides_the_password(home: Path):
    """Statements from a pipe, by the real psql; the password is in no process's arguments."""
    program("services", "up", home=home)
    program("db", "upgrade", home=home)
    asked = "select current_user, current_setting('search_path');\n\\! tr '\\0' ' ' < /proc/$PPID/cmdline\n"
    done = program("psql", home=home, input=asked)

    assert done.returncode == 0, done.stderr
    assert "nasd_reader" in done.stdout
    assert "nasd, public" in done.stdout or "nasd,public" in done.stdout
    assert "postgresql://" not in done.stdout


def test_services_are_not_started_beside_given_ones(nasd, scene: Scene):
    """With the two URLs set, an embedded pair would only confuse."""
    code, _, error = nasd("services", "up")

    assert code == 2
    assert "nothing embedded is used" in error
