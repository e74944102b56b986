"""Hypervolume of each strategy on the toy conflict, at equal evaluations, paired over seeds.

    python scripts/bench/quality.py [--seeds 20] [--trials 100] [--in-flight 8] [--population 12]

Analytic and free of noise: it notices a broken strategy, it does not say how good one is on real networks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from toy_search import ToySearch
from toy_space import OBJECTIVES, ToySpace

from nasd.domain.extremes import count_extremes
from nasd.domain.scoring import ScoringBox, box_for, hypervolume
from nasd.domain.study import StrategySpec
from nasd.strategies import KNOWN


def toy_box(n_objectives: int) -> ScoringBox:
    """The box of the first `n_objectives` toy objectives, the same for every strategy."""
    box = box_for(
        OBJECTIVES[:n_objectives],
        error_worst=0.9,
        count_extremes=count_extremes(ToySpace()),
        bounds={"latency_ms": (0.04, 20.0), "score": (1.0, 0.0)},
    )
    if box is None:
        raise ValueError(f"no bounds for {n_objectives} objectives")
    return box


def scores(use: str, *, seeds: int, trials: int, in_flight: int, n_objectives: int, population: int) -> list[float]:
    """One hypervolume a seed."""
    box = toy_box(n_objectives)
    objectives = OBJECTIVES[:n_objectives]
    searches = (ToySearch(use, seed=seed, objectives=objectives, population=population) for seed in range(seeds))
    return [hypervolume(box, search.run(trials, in_flight=in_flight).history.losses) for search in searches]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--population", type=int, default=StrategySpec().population)
    options = parser.parse_args()
    for n_objectives in (2, 3):
        found = {
            use: scores(
                use,
                seeds=options.seeds,
                trials=options.trials,
                in_flight=options.in_flight,
                n_objectives=n_objectives,
                population=options.population,
            )
            for use in KNOWN
        }
        for use, values in found.items():
            gain = np.array(values) - np.array(found["random"])
            print(
                f"{n_objectives} objectives, {options.trials} trials, {use}: median {median(values):.4f}, "
                f"paired gain over random {median(gain):+.4f}, ahead on {int((gain > 0).sum())} of {len(gain)} seeds"
            )


if __name__ == "__main__":
    main()
