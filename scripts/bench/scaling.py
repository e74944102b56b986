"""Trials per minute of the digits search with one worker and with two, on the same machine.

    python scripts/bench/scaling.py [--pairs 3] [--trials 60] [--workers 2]

Each pair runs `nasd run` twice, in turns one worker or several first, on the random strategy: a trial's network depends
on the study's seed and the trial's number alone, so that both runs train and measure the same networks. The rate counts
from the first lease to the last end: services, imports and the report are not in it, waiting for work is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg
from example_run import database_of, run_example


@dataclass(frozen=True, slots=True)
class Search:
    """What one run came to."""

    trials_per_minute: float
    busy: float  # share of the workers' time under a lease, without pauses
    paused: float
    architectures: frozenset[str]


def main() -> None:
    """Run, print each pair, then the median."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory(prefix="nasd-scaling-") as folder:
        Path(folder).chmod(0o711)
        for seed in range(options.pairs):
            order = (1, options.workers) if seed % 2 == 0 else (options.workers, 1)
            runs = {n: _search(Path(folder), n, seed, options.trials) for n in order}
            one, many = runs[1], runs[options.workers]
            if one.architectures != many.architectures:
                raise RuntimeError("the two runs did not search the same networks")
            ratios.append(many.trials_per_minute / one.trials_per_minute)
            for n, run in sorted(runs.items()):
                shares = f"busy {run.busy:.1%}, paused {run.paused:.1%}"
                print(f"seed {seed}, {n} workers: {run.trials_per_minute:6.1f} trials a minute, {shares}")
            print(f"seed {seed}: {ratios[-1]:.2f} times as many", flush=True)
    print(
        f"\n{options.workers} workers finish {statistics.median(ratios):.2f} times one worker's trials a minute "
        f"(median of {len(ratios)}; {min(ratios):.2f} to {max(ratios):.2f}); {os.cpu_count()} cores"
    )


def _search(folder: Path, n_workers: int, seed: int, trials: int) -> Search:
    name = f"scaling-{n_workers}-{seed}"
    run_example(folder, name, use="random", seed=seed, trials=trials, workers=n_workers)
    with database_of(folder) as connection:
        return _read(connection, name, n_workers)


def _read(connection: psycopg.Connection, name: str, n_workers: int) -> Search:
    attempts = connection.execute(
        """select extract(epoch from leased_at)::float8, extract(epoch from ended_at)::float8,
                  coalesce((seconds ->> 'paused')::double precision, 0)
           from nasd.attempts where study = %s order by leased_at""",
        [name],
    ).fetchall()
    trials = connection.execute(
        "select architecture::text from nasd.trials where study = %s and state = 'completed'", [name]
    ).fetchall()
    wall_s = max(row[1] for row in attempts) - attempts[0][0]
    paused_s = sum(row[2] for row in attempts)
    return Search(
        trials_per_minute=len(trials) / wall_s * 60,
        busy=(sum(row[1] - row[0] for row in attempts) - paused_s) / (n_workers * wall_s),
        paused=paused_s / (n_workers * wall_s),
        architectures=frozenset(row[0] for row in trials),
    )


if __name__ == "__main__":
    main()
