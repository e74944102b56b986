"""`nasd pick`: which member of a front to ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.app.candidates import Bound, Candidate
    from nasd.app.pick import Choice, Rival
    from nasd.store.view_rows import ObjectiveColumn

_SHOWN = 3  # rivals of each sort


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("pick")(pick)


def pick(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    device: Annotated[
        str | None, typer.Option(metavar="KIND", help="From this device kind's front; needed where there are several.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="What it must keep, such as latency_ms=20; may be repeated."),
    ] = None,
    prefer: Annotated[
        str | None, typer.Option(metavar="OBJECTIVE", help="What it should be best in; default: see above.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Answer "which one do I ship?": one member of a front, with reasons, and what can't be told from it.

    It is the best in --prefer, or else in the first objective that has no limit, among the members that keep every
    limit; with neither it is the knee, the member nearest to the best of everything. Members whose difference lies
    within noise (twice the standard error of trained values, the spread of measured ones) are named as level with it.

    \b
    Example:
        nasd pick kitchen --device pi5 --limit latency_ms=20
        nasd pick kitchen --device pi5 --limit latency_ms=20 --limit params=50000 --prefer val_error
        nasd pick kitchen --json | jq .trial
    """
    from nasd.app.candidates import candidate_of, parse_bound
    from nasd.app.pick import pick as choose
    from nasd.app.reading import study_reader
    from nasd.config import read_settings
    from nasd.errors import UserError
    from nasd.store import views

    with study_reader(read_settings(), study) as (connection, row):
        kind = _kind(row.device_kinds, device, study=row.study)
        members = [candidate_of(member, kind) for member in views.front(connection, row.study, kind)]
        unsteady = views.unsteady(connection, row.study, kind)
    objectives = row.objectives_on(kind)
    bounds = [parse_bound(text, objectives) for text in limit or ()]
    try:
        choice = choose(members, objectives, bounds=bounds, prefer=prefer)
    except UserError as error:
        raise UserError(f"study {row.study} on {kind}: {error}") from error
    notes = _notes(choice, bounds, unsteady)
    said = {"study": row.study, "device_kind": kind}
    if json:
        print(layout.printable(said | _json(choice, objectives, bounds, notes)))
    else:
        print(
            "\n".join(
                [
                    f"pick of {row.study} on {kind}: {_named(choice.candidate)}",
                    *_lines(choice, objectives, bounds),
                    *notes,
                ]
            )
        )


def _kind(kinds: Sequence[str], device: str | None, *, study: str) -> str:
    from nasd.errors import UserError

    if device is None and len(kinds) > 1:
        raise UserError(f'study "{study}" has a front for each of {", ".join(kinds)}: say which with --device KIND')
    if device is not None and device not in kinds:
        raise UserError(f'study "{study}" has no front for "{device}"; its kinds: {", ".join(kinds)}')
    return kinds[0] if device is None else device


def _json(
    choice: Choice, objectives: Sequence[ObjectiveColumn], bounds: Sequence[Bound], notes: Sequence[str]
) -> dict[str, object]:
    return {
        "trial": choice.candidate.trial,
        "by": choice.by,
        "score": choice.score,
        "limits": [asdict(bound) for bound in bounds],
        "values": _values(choice.candidate),
        "architecture": choice.candidate.architecture,
        "baseline": choice.candidate.baseline,
        "why": _why(choice, bounds),
        "level": [_rival_json(rival) for rival in choice.level],
        "cheaper": None if choice.cheaper is None else choice.cheaper.trial,
        "next": [_rival_json(rival) for rival in choice.rivals if not rival.is_level][:_SHOWN],
        "objectives": [objective.name for objective in objectives],
        "n_members": choice.n_members,
        "notes": [note.removeprefix("note: ") for note in notes],
    }


def _rival_json(rival: Rival) -> dict[str, object]:
    return {
        "trial": rival.candidate.trial,
        "behind": rival.behind,
        "noise": rival.noise,
        "values": _values(rival.candidate),
        "architecture": rival.candidate.architecture,
    }


def _values(candidate: Candidate) -> dict[str, object]:
    return {name: asdict(estimate) for name, estimate in candidate.values.items()}


def _named(candidate: Candidate) -> str:
    return f"trial {candidate.trial}" + (f', hand-made "{candidate.baseline}"' if candidate.baseline else "")


def _lines(choice: Choice, objectives: Sequence[ObjectiveColumn], bounds: Sequence[Bound]) -> list[str]:
    level, beyond = choice.level, [rival for rival in choice.rivals if not rival.is_level]
    lines = [
        f"  {layout.architecture(choice.candidate.architecture)}",
        *_estimates(choice, objectives, bounds),
        f"why: {_why(choice, bounds)}",
    ]
    if choice.cheaper is not None:
        lines.append(
            f"as good: {_named(choice.cheaper)} can't be told from it and is better in the rest: "
            f"{_trade(choice.cheaper, choice.candidate, objectives, but=choice.by)}"
        )
    others = [rival for rival in level if rival.candidate is not choice.cheaper]
    lines += [f"level: {_apart(rival, choice, objectives)}" for rival in others[:_SHOWN]]
    lines += [f"level: {len(others) - _SHOWN} more; --json lists all"] if len(others) > _SHOWN else []
    lines += [f"next: {_apart(rival, choice, objectives)}" for rival in beyond[:_SHOWN]]
    if not choice.rivals:
        lines.append(
            "next: none; no other member keeps what is asked" if bounds else "next: none; it is the only member"
        )
    return lines


def _estimates(choice: Choice, objectives: Sequence[ObjectiveColumn], bounds: Sequence[Bound]) -> list[str]:
    """The objectives first, then what is limited besides, each with spread, count and limit."""
    values = choice.candidate.values
    names = dict.fromkeys([*(each.name for each in objectives), *(bound.name for bound in bounds)])
    cells = []
    for name in names:
        estimate = values[name]
        asked = [
            f"asked for {'>=' if bound.is_minimum else '<='} {bound.value:g}" for bound in bounds if bound.name == name
        ]
        counted = f"n {estimate.n}" if estimate.spread is not None else ""
        entry = {"value": estimate.value, "spread": estimate.spread}
        cells.append([f"  {layout.header(name, estimate.unit)}", layout.estimate(entry), counted, ", ".join(asked)])
    return layout.table(["", "", "", ""], cells, right=(1,)).splitlines()[1:]


def _why(choice: Choice, bounds: Sequence[Bound]) -> str:
    n_keeping = len(choice.rivals) + 1
    among = f"of the front's {layout.count(choice.n_members, 'member')}"
    if bounds:
        asked = " and ".join(map(str, bounds))
        among = f"of the {n_keeping} of {layout.count(choice.n_members, 'member')} with {asked}"
    if choice.by == "knee":
        far = f"{layout.significant(choice.score, 2)} on the front's own scale"
        return f"the knee {among}: nearest to the best of every objective, {far}"
    return f"best {choice.by} {among}"


def _apart(rival: Rival, choice: Choice, objectives: Sequence[ObjectiveColumn]) -> str:
    """How far behind, whether that means something, and what it is better in."""
    what = "farther from the best" if choice.by == "knee" else f"worse in {choice.by}"
    behind = layout.significant(rival.behind, 2) if rival.behind else "0"
    if rival.noise is None:
        means = "its noise is not known"
    elif rival.is_level:
        means = f"within noise ({layout.significant(rival.noise, 2)})"
    else:
        means = f"beyond noise ({layout.significant(rival.noise, 2)})" if rival.noise else "exactly"
    trade = _trade(rival.candidate, choice.candidate, objectives, but=choice.by)
    return f"{_named(rival.candidate)}, {behind} {what}, {means}{'; ' + trade if trade else ''}"


def _trade(one: Candidate, than: Candidate, objectives: Sequence[ObjectiveColumn], *, but: str) -> str:
    """`latency_ms 0.31 for 0.42`: the objectives in which the two differ."""
    pairs: Mapping[str, tuple[float, float]] = {
        each.name: (one.values[each.name].value, than.values[each.name].value)
        for each in objectives
        if each.name != but
    }
    return ", ".join(
        f"{name} {layout.number(mine)} for {layout.number(its)}" for name, (mine, its) in pairs.items() if mine != its
    )


def _notes(choice: Choice, bounds: Sequence[Bound], unsteady: Mapping[int, str]) -> list[str]:
    notes = [
        f"{bound} is kept by less than its spread: measure again before relying on it" for bound in choice.doubtful
    ]
    if choice.candidate.trial in unsteady:
        notes.append(f"its latency is unsteady: {unsteady[choice.candidate.trial]}")
    if any(bound.name == "latency_ms" for bound in bounds) and "latency_p95_ms" not in choice.candidate.values:
        notes.append(
            "latency_ms is a low quantile of single calls; a sustained run is slower. "
            'A limit with statistic = "p95" in the study file is judged on one'
        )
    if choice.unknown:
        notes.append(f"left out, what is limited is not known of them: trials {', '.join(map(str, choice.unknown))}")
    return [f"note: {note}" for note in notes]
