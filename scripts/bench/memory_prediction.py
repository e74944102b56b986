"""A process's memory as predicted from the architecture (`nasd.domain.footprint`) and as Linux counts it.

    python scripts/bench/memory_prediction.py [--architectures 100] [--only mlp cnn transformer] [--fresh 3]

Every architecture trains three steps of nasd's own loop (batch 128, one validation) on digits, and runs a batch of 32,
each in a process forked for it from one that has its libraries loaded; the peak is VmHWM, reset before. Shown by space:
Spearman's correlation of what was predicted that it would grow by and what it did, their ratio (median, least, largest)
and how many were predicted too low. --fresh repeats some in processes of their own, where the whole counts, libraries
included. --json FILE keeps the raw numbers, --again FILE reports on such a file with the prediction as it is now.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasd import spaces
from nasd.data import describe, search_split
from nasd.domain import footprint
from nasd.domain.architecture import Architecture
from nasd.domain.study import BudgetSpec, DataSpec, ObjectiveSpec, SpaceSpec, StudySpec, TrainSpec
from nasd.profiling import workloads
from nasd.profiling.process_memory import Peak, ProcessMemory, measured_in_child
from nasd.training import train

FAMILIES = ("mlp", "cnn", "transformer")
STEPS, BATCH = 3, 32
MIB = 1 << 20


def study(kind: str) -> StudySpec:
    return StudySpec(
        name="bench", data=DataSpec(use="digits"), train=TrainSpec(steps=STEPS),
        space=SpaceSpec(kind=kind, preset="small" if kind == "transformer" else None),
        objectives={"val_error": ObjectiveSpec()}, budget=BudgetSpec(trials=1),
    )  # fmt: skip


def training(kind: str, genes: dict[str, Any]) -> None:
    """Three steps and a validation."""
    spec = study(kind)
    train(
        Architecture.of(kind, genes), spec, search_split(spec.data), seed=0, steps=STEPS, at_step=lambda _: None
    )  # fmt: skip


def inference(kind: str, genes: dict[str, Any]) -> None:
    problem = json.loads(json.dumps(asdict(describe(study(kind).data).problem)))
    workloads.inference(kind, genes, problem, BATCH)


WORK = {"training": training, "inference": inference}
BASES = {"training": "train", "inference": "measure"}


def _smallest(kind: str) -> dict[str, Any]:
    spec = study(kind)
    space = spaces.build(spec.space, describe(spec.data).problem)
    least = min((architecture for _, architecture in spaces.baselines(space)), key=lambda a: space.counts(a)["params"])
    return json.loads(least.json)["genes"]  # type: ignore[no-any-return]


def _forked(what: str, kind: str, genes: dict[str, Any], answer: Any) -> None:
    """In a forked process: do it small once, so that code and libraries' own memory are there, then watch it."""
    torch.set_num_threads(1)
    WORK[what](kind, _smallest(kind))
    with Peak() as peak:
        WORK[what](kind, genes)
    answer.send((peak.found.base, peak.found.peak))


def measured(what: str, kind: str, genes: dict[str, Any]) -> ProcessMemory:
    context = multiprocessing.get_context("forkserver")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=_forked, args=(what, kind, genes, its))
    process.start()
    its.close()
    try:
        base, peak = mine.recv()
    finally:
        process.join()
    return ProcessMemory(base=base, peak=peak)


def rows_of(kind: str, n: int, n_fresh: int) -> list[dict[str, Any]]:
    spec, rng = study(kind), np.random.default_rng(0)
    facts = describe(spec.data)
    space = spaces.build(spec.space, facts.problem)
    rows = []
    for i in range(n):
        architecture = space.sample(rng)
        genes = json.loads(architecture.json)["genes"]
        counts = space.counts(architecture)
        for what in WORK:
            found = measured(what, kind, genes)
            row = {"kind": kind, "what": what, **counts, "base": found.base, "growth": found.growth}
            if i < n_fresh:
                row["fresh"] = measured_in_child(f"{Path(__file__).stem}:{what}", kind, genes).peak
            rows.append(row)
    return rows


def predicted(row: dict[str, Any]) -> int:
    spec = study(row["kind"])
    facts = describe(spec.data)
    if row["what"] == "training":
        return footprint.training_bytes(row, facts, spec.train) or 0
    return footprint.inference_bytes(row, facts.problem, batch=BATCH) or 0


def report(rows: list[dict[str, Any]]) -> None:
    from scipy.stats import spearmanr  # not in the processes that are watched

    print(f"{'':<24}{'growth MiB':>16}{'spearman':>10}{'ratio':>8}{'least':>8}{'most':>8}{'too low':>9}")
    for kind in FAMILIES:
        for what in WORK:
            mine = [row for row in rows if (row["kind"], row["what"]) == (kind, what)]
            if len(mine) < 3:
                continue
            growth, guessed = [row["growth"] for row in mine], [predicted(row) for row in mine]
            ratios = [p / max(g, 1) for p, g in zip(guessed, growth, strict=True)]
            print(
                f"{kind + ', ' + what:<24}{min(growth) / MIB:>7.1f}..{max(growth) / MIB:<7.1f}"
                f"{spearmanr(guessed, growth).statistic:>10.3f}{statistics.median(ratios):>8.2f}{min(ratios):>8.2f}"
                f"{max(ratios):>8.2f}{sum(ratio < 1 for ratio in ratios):>9}"
            )
            report_whole(mine, guessed)


def report_whole(rows: list[dict[str, Any]], guessed: list[int]) -> None:
    """Of the whole process: libraries take what the fresh processes had beyond the growth of the forked ones."""
    fresh = [row["fresh"] - row["growth"] for row in rows if "fresh" in row]
    if not fresh:
        return
    libraries = statistics.mean(fresh)
    wholes = [(footprint.mib(BASES[rows[0]["what"]], each) or 0) * MIB for each in guessed]
    ratios = [whole / (libraries + row["growth"]) for whole, row in zip(wholes, rows, strict=True)]
    spread = (max(fresh) - min(fresh)) / MIB
    print(
        f"    whole process: libraries {libraries / MIB:.0f} MiB (of {len(fresh)} fresh ones, {spread:.0f} apart), "
        f"predicted : measured {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"too low {sum(ratio < 1 for ratio in ratios)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--fresh", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--again", type=Path)
    options = parser.parse_args()
    if options.again:
        report(json.loads(options.again.read_text()))
        return
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent)  # for processes that import this file
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    multiprocessing.get_context("forkserver").set_forkserver_preload(["nasd.training", "nasd.profiling.workloads"])
    rows: list[dict[str, Any]] = []
    for kind in options.only:
        rows += rows_of(kind, options.architectures, options.fresh)
        if options.json:
            options.json.write_text(json.dumps(rows))
    report(rows)


if __name__ == "__main__":
    main()
