"""Search quality of nasd's strategies and their peers, on common seeds, over 8 simulated workers of unequal speed.

    python scripts/bench/search_quality.py --data ../shared/data --out results.jsonl
        [--tables dev|confirm|all|NAME,...] [--strategies NAME,...] [--seeds 50] [--first-seed 0] [--trials 200]
        [--jobs 2] [--utilisation] [--report] [--champion screened] [--plot FOLDER]

Problems: see `search_tables`. Strategies: nasd's own by name, with settings as in nsga2@population=20, and peers:
optuna-nsga2 (population 50, its default), optuna-nsga2-20, optuna-tpe, optuna-tpe-group (multivariate, group),
optuna-gp (seconds an ask: name it), pymoo-nsga2-20, pymoo-nsga2-50 (generational: it waits).

Every finished run is one line of --out; runs that are there already, of the strategy's present version, are not made
again. --utilisation charges the real time of every ask to the virtual clock, in lines of their own. --report reads
only.

Rules, the same for all: a strategy is told one recorded run (or the law's noise of one seed) and scored by the mean of
the others (or the law without noise), on everything that it has evaluated, whatever it believes its front to be; equal
networks share one key; duplicates are answered free; a bound on the error, where there is one, is given to every rival
as a limit; no hand-made baselines; nobody sees the box.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import search_records as records
from search_report import report
from search_runs import CURVE, UTILISATION, record, version_of
from search_tables import CONFIRM, DEV, problem

from nasd.errors import NotBuiltYet, UserError

OWN = ("screened", "nsga2", "sms-emoa", "local-search", "aging-evolution", "tpe", "random", "reinforce")
PEERS = ("optuna-nsga2", "optuna-nsga2-20", "optuna-tpe", "optuna-tpe-group", "pymoo-nsga2-20", "pymoo-nsga2-50")
_SETS = {"dev": DEV, "confirm": CONFIRM, "all": (*DEV, *CONFIRM)}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Task = tuple[str, str, int, str]  # as records.Key


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where a run failed."""
    options = _options(arguments)
    out = Path(options.out)
    n_failed = 0
    if not options.report:
        tables = _SETS.get(options.tables) or tuple(options.tables.split(","))
        n_failed = _run(options, out, tables)
    found = records.results(records.read(out), trials=options.trials)
    print(report(found, champion=options.champion, trials=options.trials))
    if options.plot:
        from search_plot import plot

        for path in plot(found, Path(options.plot), trials=options.trials):
            print(path, file=sys.stderr)
    return 1 if n_failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", required=True)
    parser.add_argument("--tables", default="dev")
    parser.add_argument("--strategies", default=",".join((*OWN, *PEERS)))
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--utilisation", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--champion", default="screened")
    parser.add_argument("--plot")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, out: Path, tables: Sequence[str]) -> int:
    """Make the runs that are missing; how many failed."""
    data, mode = Path(options.data), UTILISATION if options.utilisation else CURVE
    versions = _versions(options.strategies.split(","), tables, data)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    wanted = [(table, strategy, seed, mode) for seed in seeds for table in tables for strategy in versions]
    digests = {table: problem(table, data).digest for table in tables}
    there = records.done(records.read(out), versions, digests, trials=options.trials)
    tasks = [task for task in wanted if task not in there]
    print(f"{len(tasks)} runs to make, {len(wanted) - len(tasks)} are there", file=sys.stderr)
    n_failed = 0
    for at, (task, line, error) in enumerate(_made(tasks, data, trials=options.trials, jobs=options.jobs), 1):
        shown = f"{at}/{len(tasks)} {' '.join(map(str, task))}"
        if line is None:
            n_failed += 1
            print(f"{shown}: {error}", file=sys.stderr)
            continue
        records.append(out, line)
        print(f"{shown}: {line['hv'][-1] / line['true']:.4f}", file=sys.stderr)
    return n_failed


def _versions(strategies: Iterable[str], tables: Sequence[str], data: Path) -> dict[str, str]:
    """Of the strategies that can be built; the others are named and left out. Reference fronts are computed here."""
    for table in tables:
        problem(table, data).scoring(0)
    found = {}
    for strategy in strategies:
        try:
            found[strategy] = version_of(problem(tables[0], data), strategy)
        except (NotBuiltYet, UserError) as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def _made(
    tasks: Sequence[Task], data: Path, *, trials: int, jobs: int
) -> Iterable[tuple[Task, dict[str, Any] | None, BaseException | None]]:
    """Every task with its line, or what it raised, as they finish; processes of one thread each."""
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # spawned processes read it before they load numpy
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_made_one, task, data, trials): task for task in tasks}
        try:
            for future in as_completed(futures):
                error = future.exception()
                yield futures.pop(future), None if error else future.result(), error
        finally:
            pool.shutdown(cancel_futures=True)


def _made_one(task: Task, data: Path, trials: int) -> dict[str, Any]:
    table, strategy, seed, mode = task
    return record(problem(table, data), strategy, seed, trials=trials, mode=mode)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
