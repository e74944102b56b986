"""What each strategy can do, as the table in docs/strategies.md: found out by running the checks of the contract suite.

    python scripts/bench/strategy_table.py [--untimed] [NAME ...]

The last column is the median time of an ask after 200 trials in the toy space with three objectives and 8 in flight:
CPU time of the asking thread, except for `gp`: its asks are answered by a process of its own, and waited for.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter, thread_time

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from strategy_cases import USES, case_of
from strategy_checks import TABLE_HEAD, capability
from toy_search import ToySearch

N_TRIALS, N_ASKS, IN_FLIGHT = 200, 40, 8


def ask_ms(use: str) -> float:
    """Median of the asks that follow N_TRIALS trials of random search, each after one more result."""
    search, clock = ToySearch("random").run(N_TRIALS), perf_counter if case_of(use).is_slow else thread_time
    search.strategy, took = ToySearch(use).strategy, []
    for _ in range(IN_FLIGHT):
        search.propose()  # the first of them reads all the rows
    for _ in range(4 if case_of(use).is_slow else N_ASKS):
        search.learn(search.history.in_flight[0])
        began = clock()
        proposal = search.proposal()
        took.append(clock() - began)
        search.history.add(proposal)
    return float(np.median(took) * 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=USES, metavar="NAME")
    parser.add_argument("--untimed", action="store_true", help="leave the last column out")
    options = parser.parse_args()
    for line, timed in zip(TABLE_HEAD, (" ask at 200 trials (ms) |", " --- |"), strict=True):
        print(line if options.untimed else line + timed)
    for use in options.names:
        time = "" if options.untimed else f" {ask_ms(use):.3g} |"
        print(capability(use).as_row() + time, flush=True)


if __name__ == "__main__":
    main()
