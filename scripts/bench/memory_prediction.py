"""A process's memory as predicted from the architecture (`nasd.domain.footprint`) and as Linux counts it.

    python scripts/bench/memory_prediction.py [--architectures 100] [--only mlp cnn transformer] [--fresh 3]
    python scripts/bench/memory_prediction.py --limit [--architectures 20] [--work training inference export]

Every architecture trains three steps of nasd's own loop (batch 128, one validation) on digits, and runs a batch of 32,
each in a process forked for it from one that has its libraries loaded; the peak is VmHWM, reset before. Shown by space:
Spearman's correlation of what was predicted that it would grow by and what it did, their ratio (median, least, largest)
and how many were predicted too low. --fresh repeats some in processes of their own, where the whole counts, libraries
included. --json FILE keeps the raw numbers, --again FILE reports on such a file with the prediction as it is now.
--seed draws other architectures: the factors were fitted on those of seed 0. --work adds the export to ONNX with both
conversions (batch 32; wants nasd[export]), which takes its time.

--limit asks the kernel instead: each does the same in a fresh process inside a memory control group whose limit (memory
and swap) is the whole prediction. Shown: how many, how many were killed for their memory (none should be), and
predicted : peak, once with the peak as the group was charged (pages of libraries that others had read before are not)
and once with the process's VmHWM (all of them are). Linux, as a user who may make control groups.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memory_group import Group, NoGroup, limited_to

from nasd import spaces
from nasd.data import describe, search_split
from nasd.domain import footprint
from nasd.domain.architecture import Architecture
from nasd.domain.study import BudgetSpec, DataSpec, ObjectiveSpec, SpaceSpec, StudySpec, TrainSpec
from nasd.profiling import process_memory, workloads
from nasd.profiling.process_memory import Peak, ProcessMemory, measured_in_child
from nasd.training import train

FAMILIES = ("mlp", "cnn", "transformer")
STEPS, BATCH, SAMPLES = 3, 32, 128
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


def export(kind: str, genes: dict[str, Any]) -> None:
    """The file and both its conversions, as a study makes them whose device kinds run all three."""
    from nasd.nets import build_module
    from nasd.nets.counting import example_inputs
    from nasd.runtimes.onnx_convert import to_fp16, to_int8
    from nasd.runtimes.onnx_export import export_onnx

    data = study(kind).data
    problem, samples = describe(data).problem, np.ascontiguousarray(search_split(data).train_x[:SAMPLES])
    module = build_module(Architecture.of(kind, genes), problem=problem, seed=0).eval()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "network.onnx"
        export_onnx(module, example_inputs(problem, BATCH), base)
        for convert in (to_fp16, to_int8):
            convert(base, Path(folder) / f"{convert.__name__}.onnx", samples)


WORK = {"training": training, "inference": inference, "export": export}
BASES = {"training": "train", "inference": "measure", "export": "export"}


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


def sampled(kind: str, n: int, seed: int) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """Genes and counts of n architectures."""
    spec, rng = study(kind), np.random.default_rng(seed)
    space = spaces.build(spec.space, describe(spec.data).problem)
    for _ in range(n):
        architecture = space.sample(rng)
        yield json.loads(architecture.json)["genes"], dict(space.counts(architecture))


def rows_of(kind: str, n: int, n_fresh: int, *, work: Sequence[str], seed: int) -> list[dict[str, Any]]:
    rows = []
    for i, (genes, counts) in enumerate(sampled(kind, n, seed)):
        for what in work:
            found = measured(what, kind, genes)
            row = {"kind": kind, "what": what, **counts, "base": found.base, "growth": found.growth}
            if i < n_fresh:
                row["fresh"] = measured_in_child(f"{Path(__file__).stem}:{what}", kind, genes).peak
            rows.append(row)
    return rows


def survived(function: str, *arguments: object, group: Group) -> ProcessMemory | None:
    """Call it in a fresh process inside the group, as `measured_in_child` does outside; None: killed for its memory."""
    done = subprocess.run(
        group.command(sys.executable, "-m", process_memory.__name__, function),
        input=json.dumps(arguments), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if group.n_killed:
        return None
    if done.returncode != 0:
        raise SystemExit(f"{function} {arguments} failed for another reason than memory: {done.stderr[-2000:]}")
    return ProcessMemory(**json.loads(done.stdout.splitlines()[-1]))


def limited_rows_of(kind: str, n: int, *, work: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Those that died are measured again without a limit, so that it is seen how much they lacked."""
    rows = []
    for genes, counts in sampled(kind, n, seed):
        for what in work:
            row = {"kind": kind, "what": what, "genes": genes, **counts}
            limit = whole(row)
            function = f"{Path(__file__).stem}:{what}"
            with limited_to(limit) as group:
                found = survived(function, kind, genes, group=group)
                row |= {"limit": limit, "is_dead": found is None, "charged": group.peak}
            found = found or measured_in_child(function, kind, genes)
            rows.append(row | {"fresh": found.peak})
    return rows


def predicted(row: dict[str, Any]) -> int:
    spec = study(row["kind"])
    facts = describe(spec.data)
    if row["what"] == "training":
        return footprint.training_bytes(row, facts, spec.train) or 0
    if row["what"] == "export":
        return footprint.export_bytes(row, facts.problem, batch=BATCH) or 0
    return footprint.inference_bytes(row, facts.problem, batch=BATCH) or 0


def whole(row: dict[str, Any]) -> int:
    """Bytes predicted of the process with its libraries, as a worker's memory is compared with."""
    return (footprint.mib(BASES[row["what"]], predicted(row)) or 0) * MIB


def report_limit(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'':<24}{'n':>5}{'deaths':>8}{'limit MiB':>14}"
        f"{'predicted : charged':>26}{'predicted : VmHWM':>26}{'too low':>9}"
    )
    for kind in FAMILIES:
        for what in WORK:
            mine = [row for row in rows if (row["kind"], row["what"]) == (kind, what)]
            if not mine:
                continue
            limits = [row["limit"] // MIB for row in mine]
            by_process = [row["limit"] / row["fresh"] for row in mine]
            by_group = [row["limit"] / row["charged"] for row in mine if row["charged"] and not row["is_dead"]]
            print(
                f"{kind + ', ' + what:<24}{len(mine):>5}{sum(row['is_dead'] for row in mine):>8}"
                f"{f'{min(limits)}..{max(limits)}':>14}{_spread(by_group):>26}{_spread(by_process):>26}"
                f"{sum(ratio < 1 for ratio in by_process):>9}"
            )
    for row in rows:
        if row["is_dead"]:
            lacked = (row["fresh"] - row["limit"]) / MIB
            print(f"    killed: {row['kind']}, {row['what']}, VmHWM {lacked:+.1f} MiB from its limit, {row['genes']}")


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})" if ratios else "-"


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
            report_whole(mine)


def report_whole(rows: list[dict[str, Any]]) -> None:
    """Of the whole process: libraries take what the fresh processes had beyond the growth of the forked ones."""
    fresh = [row["fresh"] - row["growth"] for row in rows if "fresh" in row]
    if not fresh:
        return
    libraries = statistics.mean(fresh)
    ratios = [whole(row) / (libraries + row["growth"]) for row in rows]
    spread = (max(fresh) - min(fresh)) / MIB
    print(
        f"    whole process: libraries {libraries / MIB:.0f} MiB (of {len(fresh)} fresh ones, {spread:.0f} apart), "
        f"predicted : measured {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"too low {sum(ratio < 1 for ratio in ratios)}"
    )


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", action="store_true")
    parser.add_argument("--architectures", type=int, help="of each space; 100, with --limit 20")
    parser.add_argument("--seed", type=int, help="0, with --limit 1")
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=FAMILIES)
    parser.add_argument("--work", nargs="+", choices=WORK, default=["training", "inference"])
    parser.add_argument("--fresh", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--again", type=Path)
    options = parser.parse_args()
    n, seed = (20, 1) if options.limit else (100, 0)
    options.architectures = n if options.architectures is None else options.architectures
    options.seed = seed if options.seed is None else options.seed
    return options


def rows_asked(options: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for kind in options.only:
        if options.limit:
            rows += limited_rows_of(kind, options.architectures, work=options.work, seed=options.seed)
        else:
            rows += rows_of(kind, options.architectures, options.fresh, work=options.work, seed=options.seed)
        if options.json:
            options.json.write_text(json.dumps(rows))
    return rows


def main() -> None:
    options = options_of()
    shown = report_limit if options.limit else report
    if options.again:
        shown(json.loads(options.again.read_text()))
        return
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent)  # for processes that import this file
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    multiprocessing.get_context("forkserver").set_forkserver_preload(["nasd.training", "nasd.profiling.workloads"])
    try:
        rows = rows_asked(options)
    except NoGroup as error:
        print(f"--limit skipped: {error}; run it where it is allowed")
        return
    shown(rows)


if __name__ == "__main__":
    main()
