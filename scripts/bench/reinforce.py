"""`reinforce` against random search, and against NSGA-II for scale, on recorded tables and the synthetic laws.

    python scripts/bench/reinforce.py --data ../shared/data --tables macro3,slice,protein --seeds 10

Common seeds, 8 unequal workers, one recorded run told and the mean of the others scored; the figures are shares of the
true front's hypervolume. Problems by name: `search_tables`.
"""

from __future__ import annotations

import argparse
from math import comb
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from search_problems import Problem
from search_runs import record
from search_tables import problem

RIVALS = ("random", "nsga2")
OURS = "reinforce"
AT = (50, 100, 200, 500)


def main() -> None:
    """Print a table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with the tables")
    parser.add_argument("--tables", default="macro3,slice,protein")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=500)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for name in options.tables.split(","):
        compare(problem(name, options.data), seeds, options.trials)


def compare(on: Problem, seeds: range, trials: int) -> None:
    """Run and print all strategies on one problem."""
    at = [n for n in AT if n <= trials]
    shares = {use: np.array([curve(on, use, seed, trials)[np.array(at) - 1] for seed in seeds]) for use in RIVALS}
    ours = np.array([curve(on, OURS, seed, trials)[np.array(at) - 1] for seed in seeds])
    print(f"{on.name}: {len(seeds)} seeds, share of the true hypervolume after {at} trials, mean ± std")
    for use, found in {OURS: ours, **shares}.items():
        cells = "  ".join(f"{mean:.4f} ± {std:.4f}" for mean, std in zip(found.mean(0), found.std(0), strict=True))
        print(f"  {use:10} {cells}{'' if use == OURS else '  ' + against(ours[:, -1], found[:, -1])}", flush=True)


def curve(on: Problem, use: str, seed: int, trials: int) -> NDArray[np.float64]:
    """(trials,) the share of the true hypervolume after each trial."""
    found = record(on, use, seed, trials=trials)
    return np.asarray(found["hv"]) / found["true"]


def against(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> str:
    """How many seeds we win at the end, and the two-sided sign test."""
    better, worse = int((ours > theirs).sum()), int((ours < theirs).sum())
    n, k = better + worse, min(better, worse)
    p = min(1.0, 2 * sum(comb(n, i) for i in range(k + 1)) / 2**n)
    return f"reinforce better in {better} of {len(ours)}, p = {p:.4f}"


if __name__ == "__main__":
    main()
