"""`nasd simulate`: strategies on a virtual clock, before anything real is spent."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasd.cli import layout

if TYPE_CHECKING:
    from nasd.app.simulate import Simulated, Wanted
    from nasd.simulator.comparison import Comparison, Sign, Spread
    from nasd.simulator.fleet import Fleet


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate)


def simulate(  # noqa: PLR0917 - the command line names them
    study: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Workers of speed 1.", show_default="as many as --speeds, or 8")
    ] = None,
    speeds: Annotated[
        str | None, typer.Option(help="A speed for each worker, such as 1,1,2,4: a second takes 1 / speed.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each strategy, on common seeds.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Write every trial of every run to this CSV.")] = None,
    table: Annotated[
        str | None, typer.Option(help="Recorded results: .csv, .csv.gz, .npz#DATASET, or a .toml that describes one.")
    ] = None,
    strategies: Annotated[
        str | None, typer.Option("--compare", help="Strategies, such as nsga2,random; tested against the first.")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Instead of the file's budget.")] = None,
    failures: Annotated[float, typer.Option(min=0, max=1, help="Share of trials that end without a result.")] = 0.0,
    lost: Annotated[float, typer.Option(min=0, max=1, help="Share of attempts whose worker is lost.")] = 0.0,
    jitter: Annotated[float, typer.Option(min=0, help="Spread of durations: sd of their logarithm.")] = 0.1,
    ask_time: Annotated[str, typer.Option(help='What a proposal takes: "real", or seconds.')] = "real",
    useful: Annotated[
        list[str] | None, typer.Option(help="The worst value that scores, such as val_error=0.2; may be repeated.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw curves to this .png or .html.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Run a study on a virtual clock with a fleet of unequal workers: the real planner and strategies, made-up time.

    Results come from a table (--table), or from the study's own function ([evaluation] run), whose duration_s says how
    long it would take. Nothing is stored and no service is started. docs/simulate.md explains the figures.

    \b
    Examples:
        nasd simulate kitchen.toml --workers 8 --speeds 1,1,1,1,2,2,4,8 --seeds 20 --out runs.csv
        nasd simulate kitchen.toml --table macro.csv.gz --compare nsga2,random --seeds 20 --plot curves.png
    """
    from nasd.app.simulate import Wanted, simulate_study, write_rows

    wanted = Wanted(
        fleet=_fleet(workers, speeds, jitter=jitter, failures=failures, lost=lost),
        n_seeds=seeds,
        strategies=tuple(name.strip() for name in strategies.split(",") if name.strip()) if strategies else (),
        trials=trials,
        table=table,
        useful=_bounds(useful or ()),
        ask_s=_ask_s(ask_time),
    )
    _check_files(out, plot)
    simulated = simulate_study(study, wanted, say=_say)
    if out is not None:
        n_rows = write_rows(out, simulated)
        _say(f"{out}: {n_rows:,} rows")
    if plot is not None:
        _plot(plot, simulated)
    _print_json(simulated) if json else _print(simulated, wanted)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _fleet(workers: int | None, speeds: str | None, *, jitter: float, failures: float, lost: float) -> Fleet:
    from nasd.simulator.fleet import Fleet

    return Fleet(speeds_of(workers, speeds, default=8), jitter=jitter, failure_rate=failures, lost_rate=lost)


def speeds_of(workers: int | None, speeds: str | None, *, default: int) -> tuple[float, ...]:
    """One speed a worker, from `--workers` and `--speeds`; a single speed is that of all workers.

    Raises:
        UserError: no numbers above 0, or another number of them than of workers.
    """
    from nasd.errors import UserError

    if speeds is None:
        return (1.0,) * (workers or default)
    try:
        found = tuple(float(each) for each in speeds.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < speed < float("inf") for speed in found):
        raise UserError(f"--speeds {speeds}: must be numbers above 0 with commas between, such as 1,1,2,4")
    if workers is not None and len(found) == 1:
        return found * workers
    if workers is not None and len(found) != workers:
        raise UserError(f"--speeds {speeds}: {len(found)} speeds for --workers {workers}. Give one for each worker")
    return found


def _bounds(given: Sequence[str]) -> dict[str, float]:
    from nasd.errors import UserError

    bounds = {}
    for each in given:
        name, _, value = each.partition("=")
        try:
            bounds[name.strip()] = float(value)
        except ValueError as error:
            raise UserError(f"--useful {each}: must be NAME=NUMBER, such as val_error=0.2") from error
    return bounds


def _ask_s(text: str) -> float | None:
    from nasd.errors import UserError

    if text == "real":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(f'--ask-time {text}: must be "real" or seconds, at least 0')
    return seconds


def _check_files(out: Path | None, plot: Path | None) -> None:
    """Before minutes of simulation, not after."""
    from nasd.errors import UserError

    for option, path in (("--out", out), ("--plot", plot)):
        if path is not None and not path.absolute().parent.is_dir():
            raise UserError(f"{option} {path}: no such folder. Make it, or name another file")
    if plot is not None and plot.suffix not in {".png", ".html"}:
        raise UserError(f"--plot {plot}: must end in .png or .html")


def _plot(path: Path, simulated: Simulated) -> None:
    from nasd.simulator.drawing import draw

    n_seeds = len(simulated.seeds)
    title = f"{simulated.spec.name}: {n_seeds} {'seed' if n_seeds == 1 else 'seeds'}, median and quartiles"
    draw(path, title=title, runs=simulated.runs, curves=simulated.curves, by=simulated.yardstick)


def _print_json(simulated: Simulated) -> None:
    import dataclasses
    from json import dumps

    comparison = dataclasses.asdict(simulated.comparison)
    box = simulated.yardstick.box.to_json()
    print(dumps({**comparison, "box": box, "notes": list(simulated.notes)}, indent=2))


def _print(simulated: Simulated, wanted: Wanted) -> None:
    comparison, speeds = simulated.comparison, wanted.fleet.speeds
    shown = ", ".join(f"{speed:g}" for speed in speeds)
    fleet = f"{layout.count(len(speeds), 'worker')} (speeds {shown})"
    print(f"{comparison.study}: {layout.count(len(simulated.seeds), 'seed')}, {fleet}")
    for note in simulated.notes:
        print(note)
    print(f"\nhypervolume after so many evaluations, as a share of {comparison.best_source}:")
    print(_hypervolume_table(comparison))
    if len(comparison.standings) > 1:
        first = comparison.standings[0].strategy
        print(f"\nseeds on which {first} was ahead:behind, with the sign test's p after Holm's correction:")
        print(_sign_table(comparison))
    print("\nmedian evaluations, and virtual time, to that share; a run that never arrives counts as infinite:")
    print(_arrival_table(comparison))
    print("\nfleet and planner:")
    print(_fleet_table(comparison))


def _hypervolume_table(comparison: Comparison) -> str:
    headers = [f"{n:,}" for n in comparison.standings[0].hypervolume]
    return _table(headers, {each.strategy: map(_mean, each.hypervolume.values()) for each in comparison.standings})


def _sign_table(comparison: Comparison) -> str:
    first, *rivals = comparison.standings
    headers = [f"{n:,}" for n in first.hypervolume]
    return _table(headers, {each.strategy: map(_sign, each.against_first.values()) for each in rivals})


def _arrival_table(comparison: Comparison) -> str:
    headers = [column for share in comparison.standings[0].evaluations for column in (f"{share:.0%}", "time")]
    rows = {}
    for standing in comparison.standings:
        cells = []
        for share, spread in standing.evaluations.items():
            hours = standing.hours[share].median
            cells.append("never" if spread.median is None else f"{spread.median:,.0f}")
            cells.append("-" if hours is None else layout.duration(3600 * hours))
        rows[standing.strategy] = cells
    return _table(headers, rows)


def _fleet_table(comparison: Comparison) -> str:
    rows = {}
    for standing in comparison.standings:
        asks = (standing.ask_median_s, standing.ask_p99_s)
        shown = ["-" if seconds is None else f"{1000 * seconds:.2f} ms" for seconds in asks]
        hours = standing.wall_hours.mean
        took = layout.duration(None if hours is None else 3600 * hours)
        rows[standing.strategy] = [f"{standing.utilisation:.2%}", took, *shown]
    return _table(["workers busy", "virtual time", "ask, median", "ask, p99"], rows)


def _table(headers: Sequence[str], rows: Mapping[str, Iterable[str]]) -> str:
    """One row a strategy, numbers to the right."""
    cells = [[strategy, *each] for strategy, each in rows.items()]
    return layout.table(["strategy", *headers], cells, right=range(1, len(headers) + 1))


def _mean(spread: Spread) -> str:
    """`0.912 ± 0.021`: mean and standard deviation over seeds."""
    if spread.mean is None:
        return "-"
    return f"{spread.mean:.3f}" + ("" if spread.sd is None else f" ± {spread.sd:.3f}")


def _sign(sign: Sign) -> str:
    return f"{sign.better}:{sign.worse} p={sign.p_holm:.2g}"
