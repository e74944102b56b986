"""The program `nasd`: the table of commands, and what a mistake looks like from outside.

A user's mistake is one sentence on stderr and exit code 2; Ctrl-C is 130; a bug is a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from nasd import __version__
from nasd.errors import UserError

# Command -> the module whose `register(app)` adds it, in the order in which --help lists them.
COMMANDS: Mapping[str, str] = {
    "init": "nasd.cli.init",
    "plan": "nasd.cli.plan",
    "simulate": "nasd.cli.simulate",
    "run": "nasd.cli.run",
    "controller": "nasd.cli.controller",
    "worker": "nasd.cli.worker",
    "status": "nasd.cli.status",
    "front": "nasd.cli.front",
    "pick": "nasd.cli.pick",
    "device": "nasd.cli.device",
    "devices": "nasd.cli.devices",
    "trials": "nasd.cli.trials",
    "show": "nasd.cli.show",
    "logs": "nasd.cli.logs",
    "replay": "nasd.cli.replay",
    "measure": "nasd.cli.measure",
    "export": "nasd.cli.export",
    "pause": "nasd.cli.operate",
    "resume": "nasd.cli.operate",
    "stop": "nasd.cli.operate",
    "delete": "nasd.cli.operate",
    "db": "nasd.cli.db",
    "psql": "nasd.cli.psql",
    "services": "nasd.cli.services",
    "doctor": "nasd.cli.doctor",
}
MISTAKE = 2


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Carry out `arguments` and return the exit code."""
    try:
        return _carried_out(arguments)
    except UserError as error:
        return _refused(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone (`nasd trials kitchen | head`); without this Python complains once more while it leaves.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        sentence = _settings_sentence(error)
        if sentence is None:
            raise
        return _refused(sentence)


def build(names: Sequence[str]) -> typer.Typer:
    """The program with these commands alone: importing only what is asked for keeps `nasd status` quick."""
    app = typer.Typer(
        name="nasd",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_program)
    for name in names:
        importlib.import_module(COMMANDS[name]).register(app)
    return app


def _carried_out(arguments: Sequence[str]) -> int:
    asked = [arguments[0]] if arguments and arguments[0] in COMMANDS else list(COMMANDS)
    try:
        code = build(asked)(args=list(arguments), prog_name="nasd")
    except SystemExit as left:
        code = left.code
    return code if isinstance(code, int) else 0


def _refused(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return MISTAKE


def _settings_sentence(error: Exception) -> str | None:
    """What a command that read the settings by itself would have said; None for any other error."""
    if type(error).__name__ != "ValidationError" or getattr(error, "title", None) != "Settings":
        return None
    from pydantic import ValidationError

    from nasd.config import settings_error

    return str(settings_error(error)) if isinstance(error, ValidationError) else None


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"nasd {__version__}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Asynchronous multi-objective neural-architecture search: a daemon, its workers, and fronts you read with SQL.

    \b
    Begin with:
        nasd init kitchen.toml        write a study file to start from
        nasd plan kitchen.toml        how large, how long, what is missing here; costs seconds
        nasd run kitchen.toml         search; the same command again resumes

    `nasd COMMAND --help` explains each command with an example.
    """
