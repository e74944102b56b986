"""`nasd doctor`: findings with remedies; only a problem changes the exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("nasd")
NOWHERE = {"NASD_DATABASE_URL": "postgresql://someone:secret@127.0.0.1:1/x", "NASD_REDIS_URL": "redis://127.0.0.1:1"}


def doctor(folder, **variables):
    """(exit code, findings by check)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NASD_")} | variables
    done = subprocess.run(
        [PROGRAM, "doctor", "--json", "--in", folder],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert "secret" not in done.stdout
    return done.returncode, {finding["check"]: finding for finding in json.loads(done.stdout)}


def test_a_whole_environment_has_no_problem(tmp_path):
    """Nothing is started and nothing is written."""
    code, found = doctor(tmp_path)

    assert code == 0
    assert {finding["verdict"] for finding in found.values()} <= {"ok", "warning"}
    assert {"python", "packages", "torch", "settings", "disk", "services"} <= set(found)
    assert list(tmp_path.iterdir()) == []


def test_unreachable_services_are_problems_with_a_remedy(tmp_path):
    """Both are reported, not only the first."""
    code, found = doctor(tmp_path, **NOWHERE)

    assert code == 1
    for check, variable in (("database", "NASD_DATABASE_URL"), ("redis", "NASD_REDIS_URL")):
        assert found[check]["verdict"] == "problem"
        assert variable in found[check]["remedy"]


def test_a_url_that_is_none_does_not_show_its_password(tmp_path):
    """The driver's own message repeats the whole text."""
    code, found = doctor(tmp_path, NASD_DATABASE_URL="postgres//a:secret@b/c", NASD_REDIS_URL="x//a:secret@b")

    assert code == 1
    assert "no connection string" in found["database"]["found"]


def test_one_url_alone_is_a_problem(tmp_path):
    """Half a pair would be an embedded Postgres beside a foreign Redis by accident."""
    code, found = doctor(tmp_path, NASD_REDIS_URL=NOWHERE["NASD_REDIS_URL"])

    assert code == 1
    assert "NASD_DATABASE_URL" in found["services"]["found"]


def test_a_misspelt_variable_is_noticed(tmp_path):
    """It would silently do nothing."""
    code, found = doctor(tmp_path, NASD_DATABSE_URL="x")

    assert code == 0
    assert found["settings"] == {
        "check": "settings",
        "verdict": "warning",
        "found": "NASD_DATABSE_URL is set and nothing reads it",
        "remedy": "Did you mean NASD_DATABASE_URL?",
    }
