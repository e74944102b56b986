"""A small table of the search bench's own, and the way to the bench's modules."""

from __future__ import annotations

import gzip
import sys
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts" / "bench"))

from search_problems import Problem
from search_tables import Aims, table_problem

from nasd.simulator.table_files import Recorded

AIMS = Aims(("val_error", "params"), is_log=False)
BOUND = 0.35


def recorded() -> Recorded:
    """24 networks in 32 rows: where `wide` is 0, `kind` changes nothing."""
    rows = list(product((0, 1, 2, 3), ("even", "odd"), (8, 16, 32, 64)))
    params = np.array([10.0 + wide * 100.0 + depth for wide, _, depth in rows])
    errors = np.array(
        [[_error(wide, kind, depth, run) for run in range(3)] for wide, kind, depth in rows], dtype=np.float64
    )
    return Recorded(
        name="small",
        columns={name: [row[at] for row in rows] for at, name in enumerate(("wide", "kind", "depth"))},
        values={"val_error": errors, "params": params[:, None]},
        duration_s=params,
        ordered=frozenset({"wide", "depth"}),
        same=True,
        useful={"val_error": BOUND},
    )


def _error(wide: int, kind: str, depth: int, run: int) -> float:
    helps = 0.05 if kind == "odd" and wide else 0.0
    return 0.5 / (1 + wide) + 1.0 / depth - helps + 0.002 * run * (1 + wide)


def small_problem(*, is_limited: bool = False) -> Problem:
    return table_problem("small", recorded(), AIMS, is_limited=is_limited)


def write_macro(folder: Path, *, layers: int = 5) -> None:
    """A file like NAS-Bench-Macro's, with fewer layers and made-up numbers."""
    lines = ["arch,test_acc_run1,test_acc_run2,test_acc_run3,params,flops"]
    for word in product("012", repeat=layers):
        weights = [1 + 2 * int(letter) for letter in word]
        params = sum(weights)
        accuracy = 95 - 30 / params + 0.1 * sum(at * weight for at, weight in enumerate(weights)) / params
        lines.append(f"{''.join(word)},{accuracy:.3f},{accuracy + 0.1:.3f},{accuracy - 0.1:.3f},{params},{params**2}")
    with gzip.open(folder / "nasbench_macro_cifar10.csv.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
