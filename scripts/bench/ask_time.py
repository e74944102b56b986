"""Time of one proposal, of a rebuild from rows and of a resume from the cache, by length of history.

    python scripts/bench/ask_time.py [--strategy nsga2]

CPU time of the thread, so that busy neighbours count less. Toy space, 3 objectives, 8 in flight. What the space's own
sampling, mutation and crossover take is shown apart: it depends on the space, not on the strategy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import thread_time

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from toy_search import ToySearch
from toy_space import ToySpace

from nasd.domain.architecture import Architecture


class TimedSpace(ToySpace):
    """Adds up the seconds spent in it."""

    spent_s = 0.0

    def sample(self, rng: np.random.Generator) -> Architecture:
        return self._timed(lambda: super(TimedSpace, self).sample(rng))

    def mutate(self, parent: Architecture, rng: np.random.Generator) -> Architecture:
        return self._timed(lambda: super(TimedSpace, self).mutate(parent, rng))

    def crossover(self, mother: Architecture, father: Architecture, rng: np.random.Generator) -> Architecture:
        return self._timed(lambda: super(TimedSpace, self).crossover(mother, father, rng))

    def _timed(self, draw: Callable[[], Architecture]) -> Architecture:
        began = thread_time()
        drawn = draw()
        self.spent_s += thread_time() - began
        return drawn


def timed_proposal(search: ToySearch, space: TimedSpace) -> tuple[float, float]:
    """Learn one result (not timed), then propose: (the strategy's own ms, the space's ms)."""
    search.learn(search.history.in_flight[0])
    space.spent_s, began = 0.0, thread_time()
    proposal = search.proposal()
    took = thread_time() - began
    search.history.add(proposal)
    return (took - space.spent_s) * 1e3, space.spent_s * 1e3


def resume_s(search: ToySearch, *, with_cache: bool) -> float:
    """Seconds until a fresh strategy has made its first proposal."""
    fresh, kept = search.fresh_strategy(), search.strategy.cache()
    began = thread_time()
    if with_cache and kept is not None:
        fresh.restore(*kept)
    search.proposal(fresh)
    return thread_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategy", default="nsga2")
    options = parser.parse_args()
    space = TimedSpace(max_depth=12)
    search = ToySearch(options.strategy, space=space)
    for _ in range(8):
        search.propose()
    for length in (100, 1_000, 10_000):
        while len(search.history) < length:
            search.learn(search.history.in_flight[0])
            search.propose()
        own, spaces = np.array([timed_proposal(search, space) for _ in range(200)]).T
        print(
            f"{options.strategy}, {length} trials: own median {np.median(own):.3f} ms, "
            f"p95 {np.quantile(own, 0.95):.3f} ms; space median {np.median(spaces):.3f} ms; "
            f"rebuild {resume_s(search, with_cache=False):.3f} s; "
            f"with the cache {resume_s(search, with_cache=True) * 1e3:.2f} ms"
        )


if __name__ == "__main__":
    main()
