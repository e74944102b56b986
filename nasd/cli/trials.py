"""`nasd trials`: every trial of a study, a line each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout
from nasd.domain.lifecycle import State

if TYPE_CHECKING:
    from nasd.store.view_rows import StudyRow
    from nasd.store.views import Row

_SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("trials")(trials)


def trials(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    state: Annotated[State | None, typer.Option(help="Only trials in this state.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The newest N.", show_default="50, or all with --json", metavar="N")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program: every column of the view.")] = False,
) -> None:
    """List a study's trials, the newest last: state, values, where each came from, and why it failed if it did.

    A `*` marks members of a front; `latency_ms@pi5` is the latency on pi5. One trial in full: `nasd show STUDY TRIAL`.

    \b
    Example:
        nasd trials kitchen --state failed
        nasd trials kitchen --limit 500
        nasd trials kitchen.toml --json | jq '.[] | select(.on_front) | .trial'
    """
    from nasd.app.reading import study_reader
    from nasd.config import read_settings
    from nasd.store import views

    shown = limit if limit is not None or json else _SHOWN
    with study_reader(read_settings(), study) as (connection, row):
        found = views.trials(connection, row.study, state=state, limit=shown)
    if json:
        print(layout.printable(found))
        return
    print(_table(row, found) if found else f"study {row.study} has no {f'{state} ' if state else ''}trials")
    if state is None and len(found) < row.n_stored:
        print(f"the newest {len(found)} of {row.n_stored}; more with --limit", file=sys.stderr)


def _table(study: StudyRow, found: Sequence[Row]) -> str:
    names = _value_names(study, found)
    headers = ["trial", "", "state", *names, "origin", "architecture", "reason"]
    cells = [
        [
            str(row["trial"]),
            "*" if row["on_front"] else "",
            str(row["state"]),
            *(_value(row, name) for name in names),
            _origin(row),
            layout.architecture(row["architecture"]),
            str(row["reason"] or ""),
        ]
        for row in found
    ]
    titles = {objective.name: objective.unit for objective in study.objectives}
    headers = [_header(name, titles) for name in headers]
    return layout.table(headers, cells, right=[0, *range(3, 3 + len(names))])


def _header(name: str, units: Mapping[str, str]) -> str:
    """`val_error (fraction)`, `latency_ms@pi5`."""
    plain, at, kind = name.partition("@")
    return layout.header(plain, units.get(plain, "")) + at + kind


def _value_names(study: StudyRow, found: Sequence[Row]) -> list[str]:
    """The objectives in the study file's order, one column for each device kind that some trial has it on."""
    known = {name for row in found for name in _objectives(row)}
    names = []
    for objective in study.objectives:
        keys = [objective.key(kind) for kind in objective.on] or [objective.name]
        names += [key for key in keys if key in known] or keys[:1]
    return names


def _objectives(row: Row) -> Mapping[str, Mapping[str, object]]:
    known = row["objectives"]
    assert isinstance(known, Mapping)
    return known


def _value(row: Row, name: str) -> str:
    entry = _objectives(row).get(name)
    return "-" if entry is None else layout.number(entry.get("value"))


def _origin(row: Row) -> str:
    """`baseline small`, `crossover of 3, 7`, `sample`."""
    parents = row["parents"]
    if row["baseline"]:
        return f"baseline {row['baseline']}"
    if isinstance(parents, list) and parents:
        return f"{row['operator']} of {', '.join(str(parent) for parent in parents)}"
    return str(row["operator"])
