"""`nasd front`: the Pareto front of a study, one table for each device kind."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.store.view_rows import ObjectiveColumn, StudyRow
    from nasd.store.views import Row


class Format(StrEnum):
    """How the front is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("front")(front)


def front(  # noqa: PLR0917 - options, none of them positional
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    device: Annotated[str | None, typer.Option(metavar="KIND", help="Only the front of this device kind.")] = None,
    devices: Annotated[
        str | None, typer.Option(metavar="KINDS", help="Several, with commas, or `all`; default: all.")
    ] = None,
    style: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TABLE,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with a plot too; it needs no network.")
    ] = None,
) -> None:
    """Print the Pareto front: feasible, fully evaluated trials that no other beats, best first objective first.

    Answers while the search runs. A study that measures on several device kinds has a front for each, made of what was
    measured there. `±` is the spread (docs/sql.md says of what); hand-made baselines are marked.

    \b
    Example:
        nasd front kitchen
        nasd front kitchen --devices all --plot fronts.html
        nasd front kitchen --device pi5 --format csv > front.csv
        nasd front kitchen.toml --json | jq '.[0].devices'
    """
    from nasd.app.reading import study_reader
    from nasd.config import read_settings
    from nasd.store import views

    with study_reader(read_settings(), study) as (connection, row):
        kinds = chosen_kinds(row, device=device, devices=devices)
        fronts = {kind: in_order(views.front(connection, row.study, kind), row.objectives, kind) for kind in kinds}
        baselines = views.baselines(connection, row.study)
        trials = views.trials(connection, row.study) if plot is not None else []
    if plot is not None:
        _plot(plot, row, fronts, trials)
    if json or style is Format.JSON:
        print(layout.printable([_with_devices(member, row) for some in fronts.values() for member in some]))
    elif style is Format.CSV:
        _print_csv([member for some in fronts.values() for member in some], row.objectives)
    else:
        print("\n\n".join(front_table(row, kind, members, baselines) for kind, members in fronts.items()))


def chosen_kinds(study: StudyRow, *, device: str | None, devices: str | None = None) -> tuple[str, ...]:
    """The device kinds that the options mean, in the study's order where they mean all.

    Raises:
        UserError: the study has no such kind, or both options are given.
    """
    from nasd.errors import UserError

    if device is not None and devices is not None:
        raise UserError("--device and --devices: give one of them")
    text = device if device is not None else devices
    if text is None or (device is None and text == "all"):
        return study.device_kinds
    asked = [text] if device is not None else [name.strip() for name in text.split(",") if name.strip()]
    unknown = [kind for kind in asked if kind not in study.device_kinds]
    if unknown or not asked:
        known = ", ".join(study.device_kinds)
        raise UserError(f'study "{study.study}" has no front for "{(unknown or [text])[0]}"; its kinds: {known}')
    return tuple(dict.fromkeys(asked))


def _plot(path: Path, study: StudyRow, fronts: Mapping[str, Sequence[Row]], trials: Sequence[Row]) -> None:
    from nasd.cli.front_page import front_page, write_page

    write_page(path, front_page(study, fronts, trials))
    sizes = ", ".join(f"{kind} {layout.count(len(members), 'member')}" for kind, members in fronts.items())
    print(f"wrote {path}: {sizes}", file=sys.stderr)


def _with_devices(member: Row, study: StudyRow) -> Row:
    """The view's row and, beside it, each kind's measured objectives: what this network does on every device."""
    measured = [objective for objective in study.objectives if objective.on]
    on_kinds = {
        kind: {
            objective.name: objective.entry(member["objectives"], kind)
            for objective in measured
            if kind in objective.on
        }
        for kind in study.device_kinds
    }
    return member | {"devices": on_kinds}


def in_order(members: Sequence[Row], objectives: Sequence[ObjectiveColumn], kind: str) -> list[Row]:
    """Best first objective first; then by the others."""

    def key(member: Row) -> list[float]:
        signed = []
        for objective in _columns_on(objectives, kind):
            value = (objective.entry(member["objectives"], kind) or {}).get("value")
            number = float(value) if isinstance(value, int | float) else float("inf")
            signed.append(-number if objective.is_maximised else number)
        return signed

    return sorted(members, key=key)


def front_table(study: StudyRow, kind: str, members: Sequence[Row], baselines: Sequence[Row]) -> str:
    """One front for people; the baselines that are not on it stand below it."""
    title = f"front of {study.study} on {kind}: {layout.count(len(members), 'member')}"
    if not members:
        return f"{title}. {layout.count(study.n_done, 'trial')} done; see `nasd status {study.study}`"
    on_front = {member["trial"] for member in members}
    others = [row for row in baselines if row["trial"] not in on_front]
    objectives = _columns_on(study.objectives, kind)
    headers = ["trial", *(layout.header(column.name, column.unit) for column in objectives), "baseline", "architecture"]
    cells = [_cells(row, objectives, kind, mark="") for row in members]
    cells += [_cells(row, objectives, kind, mark=" (not on the front)") for row in others]
    table = layout.table(headers, cells, right=range(len(objectives) + 1))
    return "\n".join([title, table, *_best_line(study, members)])


def _best_line(study: StudyRow, members: Sequence[Row]) -> list[str]:
    """Which member a scalarised study is after; nothing of another one."""
    from nasd.app.report import best_by_scalar

    best = best_by_scalar(study.spec, members)
    return [] if best is None else [f"best by [scalar]: trial {best.trial}, {layout.significant(best.value)}"]


def _cells(row: Row, objectives: Sequence[ObjectiveColumn], kind: str, *, mark: str) -> list[str]:
    values = [layout.estimate(objective.entry(row["objectives"], kind)) for objective in objectives]
    baseline = f"{row['baseline']}{mark}" if row["baseline"] else ""
    return [str(row["trial"]), *values, baseline, layout.architecture(row["architecture"])]


def _columns_on(objectives: Sequence[ObjectiveColumn], kind: str) -> list[ObjectiveColumn]:
    return [objective for objective in objectives if not objective.on or kind in objective.on]


def _print_csv(members: Sequence[Row], objectives: Sequence[ObjectiveColumn]) -> None:
    """One line a member: units in the header, the architecture as JSON, the spread beside each value."""
    import csv

    names = [layout.header(objective.name, objective.unit) for objective in objectives]
    spreads = [f"spread of {name}" for name in names]
    values = [column for pair in zip(names, spreads, strict=True) for column in pair]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(
        ["study", "device_kind", "trial", *values, "baseline", "fidelity", "seed", "recipe", "architecture"]
    )
    for member in members:
        kind = str(member["device_kind"])
        entries = [objective.entry(member["objectives"], kind) or {} for objective in objectives]
        numbers = [entry.get(part) for entry in entries for part in ("value", "spread")]
        tail = [member["baseline"], member["fidelity"], member["seed"], member["recipe"]]
        genes = layout.compact(member["architecture"])
        writer.writerow([member["study"], member["device_kind"], member["trial"], *numbers, *tail, genes])
