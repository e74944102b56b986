"""`nasd show`: everything that is known of one trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.store.views import Row


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("show")(show)


def show(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number, as `nasd trials` lists it.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Show one trial: architecture, origin, values with spread, evaluations, attempts, measurements, events, fronts.

    \b
    Example:
        nasd show kitchen 17
        nasd show kitchen.toml 17 --json | jq '.measurements[] | {name, value, conditions}'
    """
    from nasd.app.reading import known_trial, study_reader
    from nasd.config import read_settings
    from nasd.store import views

    with study_reader(read_settings(), study) as (connection, row):
        known: dict[str, object] = {"trial": known_trial(connection, row, trial)}
        parts = {
            "evaluations": views.evaluations(connection, row.study, trial),
            "attempts": views.attempts(connection, row.study, trial),
            "measurements": views.measurements(connection, row.study, trial),
            "artifacts": views.artifacts(connection, row.study, trial),
            "fronts": views.memberships(connection, row.study, trial),
            "events": views.events(connection, row.study, trial),
        }
    if json:
        print(layout.printable(known | parts))
    else:
        print("\n\n".join(_text(known["trial"], parts)))  # type: ignore[arg-type]


def _text(trial: Row, parts: Mapping[str, Sequence[Row]]) -> list[str]:
    sections = [
        _head(trial),
        _values(trial),
        _evaluations(parts["evaluations"], parts["attempts"]),
        _measurements(parts["measurements"]),
        _artifacts(parts["artifacts"]),
        _fronts(parts["fronts"]),
        _events(parts["events"]),
    ]
    return [section for section in sections if section]


def _head(trial: Row) -> str:
    genes = trial["architecture"]
    assert isinstance(genes, Mapping)
    parents = trial["parents"]
    of = f" of trials {', '.join(map(str, parents))}" if isinstance(parents, list) and parents else ""
    baseline = f' "{trial["baseline"]}"' if trial["baseline"] else ""
    lines = [f"trial {trial['trial']} of {trial['study']}: {trial['state']}{_because(trial)}"]
    violation = trial["violation"]
    if isinstance(violation, float) and violation > 0:
        lines.append(f"  violation     {layout.number(violation)} (summed relative overshoot of the limits)")
    seen = int(_float(trial["proposed_from"]))
    width = max((len(name) for name in genes), default=0)
    lines += [
        f"  origin        {trial['operator']}{baseline}{of}",
        f"  proposed by   {trial['strategy_version']}, having seen {layout.count(seen, 'result')}",
        f"  fidelity      {trial['fidelity']} steps, seed {trial['seed']}, recipe {trial['recipe']}",
        f"  learned       {'as result ' + str(trial['learned_seq']) if trial['learned_seq'] else 'not yet'}",
        f"  proposed at   {layout.moment(trial['created_at'])}",
        f"  started at    {layout.moment(trial['started_at'])}",
        f"  finished at   {layout.moment(trial['finished_at'])}",
        f"  architecture  {trial['architecture_key']}",
        *(f"    {name:<{width}}  {layout.compact(value)}" for name, value in genes.items()),
    ]
    return "\n".join(lines)


def _because(row: Row) -> str:
    said = [str(part) for part in (row["reason"], row["message"]) if part]
    return f" ({': '.join(said)})" if said else ""


def _values(trial: Row) -> str:
    known = trial["objectives"]
    assert isinstance(known, Mapping)
    rows = [
        (
            name,
            layout.number(entry.get("value")),
            str(entry.get("unit") or ""),
            _spread(entry),
            str(entry.get("n") or 1),
        )
        for name, entry in known.items()
    ]
    if not rows:
        return ""
    return "values\n" + layout.table(("  name", "value", "unit", "spread", "n"), _indented(rows), right=(1, 3, 4))


def _evaluations(evaluations: Sequence[Row], attempts: Sequence[Row]) -> str:
    if not evaluations:
        return "evaluations: none; an exact count broke a limit before anything was queued"
    lines = ["evaluations"]
    for row in evaluations:
        took = f", {layout.duration(_float(row['wall_s']))}" if row["wall_s"] is not None else ""
        again = f", replicate {row['replicate']}" if row["replicate"] else ""
        lines.append(
            f"  {row['stage']} on {row['device_kind']}, round {row['round']}{again}: {row['state']}{_because(row)}"
            f" after {row['attempt']} of {row['max_attempts']} attempts{took}{_waits(row)}"
        )
        if row["progress"]:
            lines.append(f"    now: {layout.compact(row['progress'])}")
        lines += [f"    {_attempt(each)}" for each in attempts if each["evaluation"] == row["evaluation"]]
    return "\n".join(lines)


def _waits(row: Row) -> str:
    """What a queued evaluation needs of its worker, and whether its trial goes on without it."""
    needs = row["needs"] if isinstance(row["needs"], list) else []
    words = [*needs, *([f"the file {row['awaits']}"] if row["awaits"] else [])]
    said = f"; needs {', '.join(words)}" if words and row["state"] == "queued" else ""
    return said + ("" if row["is_required"] else "; the trial does not wait for it")


def _attempt(row: Row) -> str:
    seconds = row["seconds"]
    spent = ""
    if isinstance(seconds, Mapping) and seconds:
        spent = "; " + ", ".join(f"{name} {layout.duration(_float(value))}" for name, value in seconds.items())
    how = row["ended_how"] or "running"
    return (
        f"attempt {row['attempt']} by {row['worker']} at {layout.moment(row['leased_at'])}: {how}{_because(row)}{spent}"
    )


def _measurements(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    cells = [
        (
            str(row["name"]),
            layout.number(row["value"]),
            str(row["unit"]),
            _spread(row),
            str(row["n"]),
            f"{row['stage']} on {row['device_kind']}",
            str(row["attempt"]),
            str(row["status"]),
            layout.compact(row["conditions"]),
        )
        for row in rows
    ]
    headers = ("  name", "value", "unit", "spread", "n", "from", "attempt", "status", "conditions")
    return "measurements\n" + layout.table(headers, _indented(cells), right=(1, 3, 4, 6))


def _artifacts(rows: Sequence[Row]) -> str:
    cells = [(str(row["format"]), layout.number(row["n_bytes"]), str(row["sha256"])) for row in rows]
    return "files\n" + layout.table(("  format", "bytes", "sha256"), _indented(cells), right=(1,)) if cells else ""


def _fronts(rows: Sequence[Row]) -> str:
    if not rows:
        return "fronts: never on one"
    lines = ["fronts"]
    for row in rows:
        entered = f"entered with result {row['entered_seq']} at {layout.moment(row['entered_at'])}"
        left = "is on it now"
        if row["left_seq"] is not None:
            left = f"left with result {row['left_seq']} at {layout.moment(row['left_at'])}: {row['left_because']}"
        lines.append(f"  {row['device_kind']}: {entered}, {left}")
    return "\n".join(lines)


def _events(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    cells = [
        (
            layout.moment(row["at"]),
            str(row["kind"]),
            "" if row["evaluation"] is None else f"evaluation {row['evaluation']}",
            "" if row["attempt"] is None else f"attempt {row['attempt']}",
            "" if not row["data"] else layout.compact(row["data"]),
        )
        for row in rows
    ]
    return "events\n" + layout.table(("  at", "event", "", "", "data"), _indented(cells))


def _indented(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    return [(f"  {row[0]}", *row[1:]) for row in rows]


def _spread(row: Mapping[str, object]) -> str:
    return "-" if row.get("spread") is None else layout.significant(_float(row["spread"]), 2)


def _float(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
