"""The fronts of a study as one HTML page that needs nothing else: a plot by scripts, tables without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from nasd.cli import layout
from nasd.errors import UserError

if TYPE_CHECKING:
    from nasd.store.view_rows import ObjectiveColumn, StudyRow
    from nasd.store.views import Row


def write_page(path: Path, page: str) -> None:
    """Write the page.

    Raises:
        UserError: the file can't be written.
    """
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--plot {path}: can't be written: {error.strerror}. Name another file") from error


def front_page(study: StudyRow, fronts: Mapping[str, Sequence[Row]], trials: Sequence[Row]) -> str:
    """The page.

    Args:
        fronts: kind -> its members in the order of their table.
        trials: all of the study; those with a value for each objective of a kind are shown beside its front.
    """
    kinds = ", ".join(fronts)
    parts = {
        "title": escape(f"front of {study.study} on {kinds}"),
        "subtitle": escape(f"{study.n_done} trials done, {study.state}; {study.strategy}, seed {study.seed}"),
        "tables": "\n".join(_table(study, kind, members) for kind, members in fronts.items()),
        "data": _embedded(_data(study, fronts, trials)),
    }
    page = resources.files("nasd.cli").joinpath("templates", "front.html").read_text(encoding="utf-8")
    before, *marked = page.split("@@")  # each even part is a name
    texts = [part if number % 2 else parts[part] for number, part in enumerate(marked)]
    return "".join([before, *texts])


def _embedded(value: object) -> str:
    """JSON that no text in it can end: a study may be named `</script>`."""
    return layout.compact(value).replace("<", "\\u003c")


def _data(study: StudyRow, fronts: Mapping[str, Sequence[Row]], trials: Sequence[Row]) -> dict[str, object]:
    wanted = {each.name for kind in fronts for each in study.objectives_on(kind)}
    points = []
    for kind, members in fronts.items():
        on_front = {member["trial"] for member in members}
        points += [
            _point(row, kind, study.objectives_on(kind), is_member=row["trial"] in on_front)
            for row in trials
            if _is_shown(row, kind, study.objectives_on(kind))
        ]
    return {
        "study": study.study,
        "kinds": [{"name": kind} for kind in fronts],
        "objectives": [
            {"name": each.name, "label": layout.header(each.name, each.unit), "is_log": each.is_log}
            for each in study.objectives
            if each.name in wanted
        ],
        "points": points,
    }


def _is_shown(row: Row, kind: str, objectives: Sequence[ObjectiveColumn]) -> bool:
    return row["state"] == "completed" and all(each.entry(row["objectives"], kind) for each in objectives)


def _point(row: Row, kind: str, objectives: Sequence[ObjectiveColumn], *, is_member: bool) -> dict[str, object]:
    entries = {each.name: each.entry(row["objectives"], kind) or {} for each in objectives}
    return {
        "trial": row["trial"],
        "kind": kind,
        "member": is_member,
        "baseline": row["baseline"],
        "architecture": layout.architecture(row["architecture"]),
        "values": {
            name: {part: entry.get(part) for part in ("value", "spread", "n")} for name, entry in entries.items()
        },
    }


def _table(study: StudyRow, kind: str, members: Sequence[Row]) -> str:
    objectives = study.objectives_on(kind)
    title = f"<h2>{escape(kind)}: {layout.count(len(members), 'member')}</h2>"
    if not members:
        return title
    titles = ["trial", *(layout.header(each.name, each.unit) for each in objectives)]
    head = "".join(f'<th class="number">{escape(name)}</th>' for name in titles)
    rows = "\n".join(_line(row, kind, objectives) for row in members)
    return (
        f'{title}\n<div class="scroll"><table><thead><tr>{head}<th>baseline</th><th>architecture</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _line(row: Row, kind: str, objectives: Sequence[ObjectiveColumn]) -> str:
    values = [layout.estimate(each.entry(row["objectives"], kind)) for each in objectives]
    numbers = "".join(f'<td class="number">{escape(value)}</td>' for value in (str(row["trial"]), *values))
    said = (str(row["baseline"] or ""), layout.architecture(row["architecture"]))
    return f'<tr data-trial="{row["trial"]}">{numbers}{"".join(f"<td>{escape(text)}</td>" for text in said)}</tr>'
