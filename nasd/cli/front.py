"""`nasd front`: the Pareto front of a study, one table for each device kind."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
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


def front(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    device: Annotated[str | None, typer.Option(help="Only the front of this device kind.")] = None,
    style: Annotated[Format, typer.Option("--format", help="What to print.")] = Format.TABLE,
) -> None:
    """Print the Pareto front: feasible, fully evaluated trials that no other beats, best first objective first.

    Answers while the search runs. `±` is the spread (docs/sql.md says of what); hand-made baselines are marked.

    \b
    Example:
        nasd front kitchen
        nasd front kitchen --device pi5 --format csv > front.csv
        nasd front kitchen.toml --format json | jq '.[0].architecture'
    """
    from nasd.app.reading import study_reader
    from nasd.config import read_settings
    from nasd.errors import UserError
    from nasd.store import views

    with study_reader(read_settings(), study) as (connection, row):
        if device is not None and device not in row.device_kinds:
            raise UserError(
                f'study "{row.study}" has no front for "{device}"; its kinds: {", ".join(row.device_kinds)}'
            )
        kinds = row.device_kinds if device is None else (device,)
        fronts = {kind: in_order(views.front(connection, row.study, kind), row.objectives, kind) for kind in kinds}
        baselines = views.baselines(connection, row.study)
    if style is Format.TABLE:
        print("\n\n".join(front_table(row, kind, members, baselines) for kind, members in fronts.items()))
        return
    members = [member for some in fronts.values() for member in some]
    if style is Format.JSON:
        print(layout.printable(members))
    else:
        _print_csv(members, row.objectives)


def in_order(members: Sequence[Row], objectives: Sequence[ObjectiveColumn], kind: str) -> list[Row]:
    """Best first objective first; then by the others."""

    def key(member: Row) -> list[float]:
        signed = []
        for objective in _columns_on(objectives, kind):
            value = (_entry(member, objective, kind) or {}).get("value")
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
    values = [layout.estimate(_entry(row, objective, kind)) for objective in objectives]
    baseline = f"{row['baseline']}{mark}" if row["baseline"] else ""
    return [str(row["trial"]), *values, baseline, layout.architecture(row["architecture"])]


def _columns_on(objectives: Sequence[ObjectiveColumn], kind: str) -> list[ObjectiveColumn]:
    return [objective for objective in objectives if not objective.on or kind in objective.on]


def _entry(row: Row, objective: ObjectiveColumn, kind: str) -> Mapping[str, object] | None:
    """{value, unit, spread, n}; measured on several kinds, a quantity is `latency_ms@pi5`."""
    known = row["objectives"]
    assert isinstance(known, Mapping)
    entry = known.get(f"{objective.name}@{kind}", known.get(objective.name))
    return entry if isinstance(entry, Mapping) else None


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
        entries = [_entry(member, objective, str(member["device_kind"])) or {} for objective in objectives]
        numbers = [entry.get(part) for entry in entries for part in ("value", "spread")]
        tail = [member["baseline"], member["fidelity"], member["seed"], member["recipe"]]
        genes = layout.compact(member["architecture"])
        writer.writerow([member["study"], member["device_kind"], member["trial"], *numbers, *tail, genes])
