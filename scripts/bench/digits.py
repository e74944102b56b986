"""The digits search over several study seeds: NSGA-II next to random at equal trials, paired; busy fraction; run time.

    python scripts/bench/digits.py [--seeds 10] [--trials 60] [--workers 2]

Each seed is searched by both strategies in turn, on the same machine, through `nasd run`. A front is scored by its
hypervolume beyond that of the hand-made baselines of the same run, in one scoring box for both runs of a pair (that of
the first), so that one latency reading of a baseline does not decide. Busy is the time in which a worker held a lease,
without pauses for another's measurement, over the wall time from the first lease to the last end.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
from example_run import database_of, run_example

from nasd.domain.scoring import ScoringBox, hypervolume
from nasd.ports.clock import SystemClock

CLOCK = SystemClock()
OBJECTIVES = ("val_error", "latency_ms", "params")


@dataclass(frozen=True, slots=True)
class Search:
    """What one run came to."""

    wall_s: float
    first_trial_s: float
    best_error: float
    front: int
    busy: float
    paused: float
    train_s: float
    box: ScoringBox
    found: np.ndarray  # (n, 3) losses of the front
    baselines: np.ndarray  # (k, 3)

    def gain(self, box: ScoringBox) -> float:
        """Hypervolume beyond the baselines'."""
        both = np.vstack([self.found, self.baselines])
        return hypervolume(box, both) - hypervolume(box, self.baselines)


def main() -> None:
    """Run, print each pair, then medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    pairs = []
    with tempfile.TemporaryDirectory(prefix="nasd-digits-") as folder:
        Path(folder).chmod(0o711)
        for seed in range(options.seeds):
            order = ("nsga2", "random") if seed % 2 == 0 else ("random", "nsga2")
            runs = {use: _search(Path(folder), use, seed, options.trials, options.workers) for use in order}
            pairs.append(runs)
            _print_pair(seed, runs)
    _print_summary(pairs)


def _search(folder: Path, use: str, seed: int, trials: int, workers: int) -> Search:
    name = f"{use}-{seed}"
    began = CLOCK.now().timestamp()
    run_example(folder, name, use=use, seed=seed, trials=trials, workers=workers)
    with database_of(folder) as connection:
        return _read(connection, name, began=began, wall_s=CLOCK.now().timestamp() - began, n_workers=workers)


def _read(connection: psycopg.Connection, name: str, *, began: float, wall_s: float, n_workers: int) -> Search:
    def rows(query: str) -> list[tuple]:
        return connection.execute(query, [name]).fetchall()

    columns = ", ".join(OBJECTIVES)
    attempts = rows("""
        select extract(epoch from leased_at), extract(epoch from ended_at), stage,
               coalesce((seconds ->> 'paused')::double precision, 0)
        from nasd.attempts where study = %s order by leased_at""")
    first, last = float(attempts[0][0]), max(float(row[1]) for row in attempts)
    paused = sum(row[3] for row in attempts)
    held = sum(float(row[1]) - float(row[0]) for row in attempts)
    trained = [float(row[1]) - float(row[0]) - row[3] for row in attempts if row[2] == "train"]
    reference = rows("select reference from nasd_core.study where name = %s")[0][0]
    return Search(
        wall_s=wall_s,
        first_trial_s=first - began,
        best_error=rows("select min(val_error) from nasd.trials where study = %s")[0][0],
        front=rows("select count(*) from nasd.pareto_front where study = %s")[0][0],
        busy=(held - paused) / (n_workers * (last - first)),
        paused=paused / (n_workers * (last - first)),
        train_s=statistics.mean(trained),
        box=ScoringBox.from_json(reference["local"]),
        found=np.array(rows(f"select {columns} from nasd.pareto_front where study = %s"), float),
        baselines=np.array(rows(f"select {columns} from nasd.baselines where study = %s"), float),
    )


def _print_pair(seed: int, runs: dict[str, Search]) -> None:
    box = runs["nsga2"].box
    for use in ("nsga2", "random"):
        run = runs[use]
        print(
            f"seed {seed} {use:6}: gain {run.gain(box):.4f}, best error {run.best_error:.2%}, front {run.front}, "
            f"{run.wall_s:.0f} s, first trial after {run.first_trial_s:.1f} s, mean training {run.train_s:.2f} s, "
            f"busy {run.busy:.1%}, paused {run.paused:.1%}",
            flush=True,
        )


def _print_summary(pairs: list[dict[str, Search]]) -> None:
    differences = [runs["nsga2"].gain(runs["nsga2"].box) - runs["random"].gain(runs["nsga2"].box) for runs in pairs]
    searches = [run for runs in pairs for run in runs.values()]
    ahead = sum(difference > 0 for difference in differences)
    median = statistics.median(differences)
    print(f"\nnsga2 ahead of random in {ahead} of {len(pairs)} seeds; median difference {median:+.4f}")
    print(
        f"wall: median {statistics.median(run.wall_s for run in searches):.0f} s, "
        f"largest {max(run.wall_s for run in searches):.0f} s"
    )
    print(
        f"busy: median {statistics.median(run.busy for run in searches):.1%}, "
        f"paused: median {statistics.median(run.paused for run in searches):.1%}"
    )
    print(
        f"best validation accuracy: lowest of all runs {1 - max(run.best_error for run in searches):.2%}; "
        f"smallest front {min(run.front for run in searches)}"
    )


if __name__ == "__main__":
    main()
