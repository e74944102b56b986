"""The command line from outside: exit codes, sentences on stderr, and how little a command imports."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from nasd.cli.main import COMMANDS
from nasd.errors import UserError
from nasd.studyfile import load

HEAVY = ("torch", "pymoo", "optuna", "sqlalchemy", "sqlmodel", "psycopg", "redis", "rq", "sklearn", "scipy", "numpy")
STUDY = "[objectives]\nval_error = {}\n[budget]\ntrials = 6\n"


def environment(**more):
    """This process's, without settings of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NASD_")} | more


def nasd(*arguments, cwd=None, **variables):
    """Run the program as a user does."""
    program = Path(sys.executable).with_name("nasd")
    return subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(done):
    """The one sentence of a refusal."""
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("error: ").strip()


def test_help_imports_nothing_heavy():
    """`nasd status` in a loop, or a shell's completion, must not wait for torch."""
    code = (
        "import sys\nfrom nasd.cli.main import run\ncode = run(['--help'])\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())

    assert done.stdout.splitlines()[-1] == "HEAVY [] 0"


def test_help_answers_in_half_a_second_of_cpu():
    """The best of three: a busy machine makes CPU time longer, never shorter."""

    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert nasd("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5


GROUPS = {
    "db": ("upgrade", "url"),
    "services": ("up", "down", "status"),
    "device": ("add", "list", "show", "drain", "revoke"),
    "devices": ("compare",),
    "worker": ("", "join"),
}
TAUGHT = [f"{name} {member}".strip() for name in COMMANDS for member in GROUPS.get(name, ("",))]


@pytest.mark.parametrize("command", TAUGHT)
def test_each_command_teaches_with_an_example(command):
    """Nobody reads a list of options to find out how to begin."""
    done = nasd(*command.split(), "--help")

    assert done.returncode == 0
    assert f"nasd {command}" in done.stdout.split("Usage:")[1].split("\n", 1)[1]


def test_version_is_printed():
    """What a bug report begins with."""
    done = nasd("--version")

    assert (done.returncode, done.stdout.split()[0]) == (0, "nasd")


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("plan",), ("plan", "--nonsense"), ("plan", "x.toml", "--workers", "0")]
)
def test_bad_usage_leaves_with_two(arguments):
    """Scripts tell a typing error from a failed search by the code."""
    done = nasd(*arguments)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_mistake_in_the_study_file_is_one_sentence(tmp_path):
    """File, line, key, value and remedy; no traceback."""
    path = tmp_path / "kitchen.toml"
    path.write_text("[train]\nstep = 3\n" + STUDY)

    assert refused(nasd("plan", path)).startswith(f"{path}:2: train.step = 3: no such key in [train]")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NASD_METRICS_PORT", "high"),
        ("NASD_LEASE__DURATION_S", "-1"),
        ("NASD_LOG_LEVEL", "loud"),
        ("NASD_LEASE__DURATIONS", "3"),
        ("NASD_LEASE", "x"),
    ],
)
def test_a_bad_setting_names_its_variable(variable, value):
    """Pydantic's own report is a page about a tree that users never see."""
    assert refused(nasd("doctor", **{variable: value})).startswith(variable)


def test_init_writes_a_study_that_loads(tmp_path):
    """The first command of the first hour."""
    done = nasd("init", "kitchen", cwd=tmp_path)

    assert done.returncode == 0
    assert "nasd plan kitchen.toml" in done.stdout
    assert load(tmp_path / "kitchen.toml").name == "kitchen"


def test_init_never_overwrites(tmp_path):
    """A study file may hold an afternoon's thought."""
    path = tmp_path / "kitchen.toml"
    path.write_text("mine")

    assert "exists and is left as it is" in refused(nasd("init", path))
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--data", "photos"), "--data photos"),
        (("--space", "rnn"), "--space rnn"),
        (("no/such/folder/x.toml",), "no/such"),
    ],
)
def test_init_refuses_by_name_what_it_cannot_do(tmp_path, arguments, name):
    """Nothing is written then."""
    assert refused(nasd("init", *arguments, cwd=tmp_path)).startswith(name)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_with_130(monkeypatch, capsys):
    """What shells expect of an interrupted program."""
    from nasd.cli import main

    def interrupted(app):
        @app.command("plan")
        def plan() -> None:
            raise KeyboardInterrupt

    module = type(sys)("nasd_interrupted")
    module.register = interrupted
    monkeypatch.setitem(sys.modules, "nasd_interrupted", module)
    monkeypatch.setattr(main, "COMMANDS", {"plan": "nasd_interrupted", "init": "nasd.cli.init"})

    assert main.run(["plan"]) == 130
    capsys.readouterr()


def test_a_user_error_from_anywhere_becomes_one_sentence(monkeypatch, capsys):
    """Commands raise; only the outermost seam prints."""
    from nasd.cli import main

    def mistaken(app):
        @app.command("plan")
        def plan() -> None:
            raise UserError("the cup is empty: fill it")

    module = type(sys)("nasd_mistaken")
    module.register = mistaken
    monkeypatch.setitem(sys.modules, "nasd_mistaken", module)
    monkeypatch.setattr(main, "COMMANDS", {"plan": "nasd_mistaken", "init": "nasd.cli.init"})

    assert main.run(["plan"]) == 2
    assert capsys.readouterr() == ("", "error: the cup is empty: fill it\n")
