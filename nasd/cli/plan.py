"""`nasd plan`: what a study will take, before anything is spent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from nasd.app.plan import Foreseen, Plan, Spend


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(plan)


def plan(
    study: Annotated[Path, typer.Argument(help="The study file.")],
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Workers that will search side by side.", show_default="2, or 1 on one core"),
    ] = None,
    speeds: Annotated[
        str | None, typer.Option(help="A speed for each of them, such as 1,1,4; 1: as fast as this machine.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Say what a study will take before anything is spent: space, trials, stages, hours, and what is missing here.

    Builds the smallest, the largest and three random networks, steps each a few times in this process, and simulates
    the study with what they took.

    \b
    Example:
        nasd plan examples/digits-mlp.toml
        nasd plan kitchen.toml --workers 8 --json
        nasd plan kitchen.toml --speeds 1,1,0.1,4
    """
    from nasd.app.prepared import prepare
    from nasd.app.timing import make_plan
    from nasd.cli.simulate import speeds_of

    fleet = speeds_of(workers, speeds, default=min(2, os.cpu_count() or 1))
    prepared = prepare(study)
    found = make_plan(prepared, speeds=fleet)
    if json:
        _print_json(found)
    else:
        _print(found)


def _print_json(found: Plan) -> None:
    import dataclasses
    from json import dumps

    print(dumps(dataclasses.asdict(found), indent=2))


def _print(found: Plan) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    n_decisions = sum(found.decisions.values())
    console.print(f"[bold]{found.study}[/]: {_size_text(found)}")
    parts = ", ".join(f"{gene} {count}" if count > 1 else gene for gene, count in found.decisions.items())
    console.print(f"Decisions: {n_decisions}" + (f" ({parts})" if parts else ""))
    how = "Searched by one figure of" if found.is_scalar else "Pursued together"
    console.print(f"{how}: {', '.join(found.objectives)}")
    if found.limits:
        console.print(f"Limits: {', '.join(found.limits)}")
    console.print(f"Trials: {_count_text(found.trials)}, each in {len(found.stages)} stage(s):")
    console.print(_stage_table(found))
    if found.timings:
        console.print("Built and stepped here:")
        console.print(_timing_table(found))
    if found.wall_s is not None:
        workers = f"{found.workers} worker{'s' if found.workers > 1 else ''}"
        console.print(f"Time: [bold]{_time_text(found.wall_s)}[/] with {workers}")
    if found.foreseen is not None:
        console.print(_foreseen_text(found.foreseen))
    ahead = "no strategy ahead of the others" if found.expected.strategy is None else f"{found.expected.strategy} ahead"
    console.print(f"Expectation, not a measurement: {ahead}; {found.expected.why}", markup=False)
    _print_troubles(console, found)


def _foreseen_text(foreseen: Foreseen) -> str:
    from nasd.studyfile.durations import duration_text

    speeds = ", ".join(f"{speed:g}" for speed in foreseen.speeds)
    took = f"{foreseen.trials:,} trials in {duration_text(foreseen.wall_s)}"
    return f"Simulated with {foreseen.searched_by} on speeds {speeds}: {took}, workers busy {foreseen.utilisation:.1%}"


def _size_text(found: Plan) -> str:
    bound = "" if found.is_size_exact else "at most "
    networks = "network" if found.space_size == 1 else "networks"
    settings = f", with every setting of {', '.join(found.recipe_parameters)}" if found.recipe_parameters else ""
    return f"{bound}{found.space_size:,} {networks} in the {found.space} space{settings}"


def _print_troubles(console: Console, found: Plan) -> None:
    from rich.markup import escape

    for missing in found.unavailable:
        console.print(f"[yellow]unavailable:[/] {escape(missing)}")
    for warning in found.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}")


def _stage_table(found: Plan) -> Table:
    from rich.table import Table

    table = Table("stage", "on", "gives", "takes", box=None, pad_edge=True)
    for need in found.stages:
        table.add_row(need.stage, ", ".join(need.on), ", ".join(need.gives), need.takes)
    return table


def _timing_table(found: Plan) -> Table:
    from rich.table import Table

    table = Table("network", "parameters", "ms a step", "train s", "measure s", box=None, pad_edge=True)
    for column in table.columns[1:]:
        column.justify = "right"
    for timing in found.timings:
        numbers = (f"{timing.step_ms:.2f}", f"{timing.train_s:.2f}", f"{timing.measure_s:.2f}")
        shown = numbers if timing.problem is None else ("can't", "run", "here")
        table.add_row(timing.name, f"{timing.params:,}", *shown)
    return table


def _count_text(trials: Spend | None) -> str:
    if trials is None:
        return "as many as the time allows"
    least, likely, most = (round(n) for n in (trials.least, trials.likely, trials.most))
    return f"{likely:,}" if least == most else f"about {likely:,} ({least:,} to {most:,})"


def _time_text(wall_s: Spend) -> str:
    from nasd.studyfile.durations import duration_text

    least, likely, most = (duration_text(s) for s in (wall_s.least, wall_s.likely, wall_s.most))
    return likely if least == most else f"{least} to {most}, likely {likely}"
