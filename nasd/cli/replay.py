"""`nasd replay`: whether a study's rows alone explain every proposal."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.app.replay import Replayed

_SHOWN = 20
DIFFERENT = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name or file.")],
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="PACKAGE", help="Run evaluation.costs from this package; may be repeated."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Make every proposal of a study again from its rows and compare: the proof that it can be resumed exactly.

    Changes nothing, and works while the study runs. Exit code 1 where a proposal differs: then its rows were changed
    by hand, or it was made under another version, library or kind of processor.

    \b
    Example:
        nasd replay kitchen
        nasd replay kitchen.toml --json | jq '.differences | length'
    """
    from nasd.app.reading import StudyArgument, endpoints
    from nasd.app.replay import replay_study
    from nasd.app.users import in_folder
    from nasd.config import read_settings, with_users_code

    named = StudyArgument.parse(study)
    settings = with_users_code(read_settings(), allow=allow or (), folder=None, of="controller")
    with endpoints(settings, named.file) as found, in_folder(named.file.parent if named.file else Path()):
        replayed = replay_study(found.database["controller"], named.name, allow=settings.controller.allow)
    print(layout.printable(_json(replayed)) if json else _text(replayed))
    if not replayed.is_equal:
        raise typer.Exit(DIFFERENT)


def _json(replayed: Replayed) -> dict[str, object]:
    return dataclasses.asdict(replayed) | {"is_equal": replayed.is_equal}


def _text(replayed: Replayed) -> str:
    proposals = layout.count(replayed.n_proposals, "proposal")
    if replayed.is_equal:
        return f"{replayed.study}: {proposals} recomputed, all equal"
    foreign = [each for each in replayed.differences if each.of == "strategy"]
    if foreign:
        n, made_by = len(foreign), ", ".join(sorted({each.stored for each in foreign}))
        return (
            f"{replayed.study}: {n} of {proposals} were made by {made_by}, which {replayed.strategy} can "
            "not recompute. Use the nasd that made them"
        )
    found = replayed.differences
    n_trials = len({difference.trial for difference in found})
    lines = [f"{replayed.study}: {proposals} recomputed, {n_trials} not equal:"]
    lines += [f"  {difference}" for difference in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} more; all of them with --json")
    return "\n".join(lines)
