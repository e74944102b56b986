"""`nasd logs`: what the attempts at a trial printed, with the traceback where there was one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.store.views import Row


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs")(logs)


def logs(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number, as `nasd trials` lists it.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Print the output of every attempt at a trial's evaluations, the oldest first, and how each ended.

    The last part of what an evaluation printed is kept with its attempt, and the traceback of an error.

    \b
    Example:
        nasd logs kitchen 17
        nasd logs kitchen 17 --json | jq -r '.[-1].log'
    """
    from nasd.app.reading import known_trial, study_reader
    from nasd.config import read_settings
    from nasd.store import views

    with study_reader(read_settings(), study) as (connection, row):
        known_trial(connection, row, trial)
        attempts = views.attempts(connection, row.study, trial)
    if json:
        print(layout.printable(attempts))
    elif attempts:
        print("\n\n".join(_text(attempt) for attempt in attempts))
    else:
        print(f"no worker has begun with trial {trial} of {row.study}; see `nasd show {row.study} {trial}`")


def _text(attempt: Row) -> str:
    how = attempt["ended_how"] or "still running; its output comes with its result"
    reason = f" ({attempt['reason']})" if attempt["reason"] else ""
    which = f"{attempt['stage']}, attempt {attempt['attempt']} at evaluation {attempt['evaluation']}"
    when = f"{layout.moment(attempt['leased_at'])} to {layout.moment(attempt['ended_at'])}"
    lines = [f"== {which} by {attempt['worker']}, {when}: {how}{reason}"]
    if attempt["message"]:
        lines.append(str(attempt["message"]))
    log = str(attempt["log"] or "").rstrip("\n")
    if attempt["ended_how"]:
        lines.append(log or "(it printed nothing)")
    return "\n".join(lines)
