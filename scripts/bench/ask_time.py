"""Time of one proposal, of a rebuild from rows and of a resume from the cache, by length of history.

    python scripts/bench/ask_time.py [--strategy nsga2]

Toy space, 3 objectives, 8 in flight; the space's own crossover and mutation are part of a proposal's time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from toy_space import ToySpace
from toy_study import ToyStudy


def one_step_ms(study: ToyStudy) -> float:
    """Learn one result (not timed), then time the proposal that consumes it."""
    study.learn(study.history.in_flight[0])
    began = perf_counter()
    proposal = study.proposal()
    took = perf_counter() - began
    study.history.add(proposal)
    return took * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategy", default="nsga2")
    options = parser.parse_args()
    study = ToyStudy(options.strategy, space=ToySpace(max_depth=12))
    for _ in range(8):
        study.propose()
    for length in (100, 1_000, 10_000):
        while len(study.history) < length:
            study.learn(study.history.in_flight[0])
            study.propose()
        times = [one_step_ms(study) for _ in range(100)]
        rebuilt = study.fresh_strategy()
        began = perf_counter()
        study.proposal(rebuilt)
        rebuild_s = perf_counter() - began
        kept, restored = study.strategy.cache(), study.fresh_strategy()
        began = perf_counter()
        if kept is not None:
            restored.restore(*kept)
        study.proposal(restored)
        restore_s = perf_counter() - began
        print(
            f"{options.strategy}, {length} trials: proposal median {np.median(times):.3f} ms, "
            f"p95 {np.quantile(times, 0.95):.3f} ms; rebuild {rebuild_s:.3f} s; from the cache {restore_s * 1e3:.2f} ms"
        )


if __name__ == "__main__":
    main()
