"""A search that is no better than chance is broken, whatever its parts' tests say."""

from __future__ import annotations

from statistics import median

import pytest
from toy_search import ToySearch
from toy_space import OBJECTIVES

from nasd.domain.scoring import box_for, hypervolume

BOX = box_for(
    OBJECTIVES[:3],
    error_worst=0.9,
    count_extremes={"params": (50, 411_000)},
    bounds={"latency_ms": (0.04, 46.0)},
)


@pytest.mark.slow
def test_nsga2_beats_random_search_at_equal_evaluations():
    """Paired by seed, 8 in flight, results out of order; scripts/bench/quality.py prints the numbers."""
    gains = []
    for seed in range(12):
        nsga2, random = (
            hypervolume(BOX, ToySearch(use, seed=seed).run(100).history.losses) for use in ("nsga2", "random")
        )
        gains.append(nsga2 - random)

    assert median(gains) > 0.02
    assert sum(gain > 0 for gain in gains) >= 10
