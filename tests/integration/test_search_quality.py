"""A search that is no better than chance is broken, whatever its parts' tests say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
from search_bench_table import write_macro
from toy_search import ToySearch
from toy_space import OBJECTIVES

from nasd.domain.scoring import box_for, hypervolume

ROOT = Path(__file__).resolve().parents[2]
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


@pytest.mark.slow
def test_the_search_bench_accumulates_and_reports(tmp_path):
    """What is in --out is not made again: benches are stopped and go on. A table of its own, like NAS-Bench-Macro."""
    write_macro(tmp_path)
    bench = [sys.executable, str(ROOT / "scripts" / "bench" / "search_quality.py")]
    bench += ["--data", str(tmp_path), "--out", str(tmp_path / "out.jsonl"), "--champion", "nsga2", "--jobs", "1"]
    bench += ["--tables", "macro3", "--strategies", "nsga2,random,optuna-nsga2-20,pymoo-nsga2-20", "--trials", "40"]

    first = subprocess.run([*bench, "--seeds", "2"], capture_output=True, text=True, check=True)
    again = subprocess.run([*bench, "--seeds", "3"], capture_output=True, text=True, check=True)

    assert "8 runs to make, 0 are there" in first.stderr
    assert "4 runs to make, 8 are there" in again.stderr
    assert "| pymoo-nsga2-20 | 3 |" in again.stdout
