"""How well a latency repeats while another worker trains on the other core, and what the parts of measuring add to it.

    python scripts/bench/repeatability.py [--architectures 20] [--seed 0] [--passes 2]

Architectures of all three spaces on digits, batch 1, eager, one thread. One pass measures each once while nothing
trains; then passes beside a trainer that honours the host's lock take turns with passes beside one that does not. Every
visit to an architecture gives two numbers: nasd's (`measure_runner`) and what is usually done, the mean of 50 calls
after 10. Shown for each: the median coefficient of variation between the passes, Spearman's correlation between the
first two and of each with the quiet pass (the least), and the median ratio to the quiet pass. Asked of nasd's under the
lock: variation at most 5 %, correlations at least 0.98. Also the share of its time that the trainer stood still.
Run it on a machine that does nothing else; --json FILE keeps the raw numbers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from nasd import spaces
from nasd.data import describe, search_split
from nasd.domain.architecture import Architecture
from nasd.domain.study import BudgetSpec, DataSpec, ObjectiveSpec, SpaceSpec, StudySpec
from nasd.nets import build_module
from nasd.nets.counting import example_inputs
from nasd.profiling.measure import measure
from nasd.training import train
from workers.hostlock import HostLock

FAMILIES = ("mlp", "cnn", "transformer")
PLAIN_WARM_UP, PLAIN_CALLS = 10, 50
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
Exclusive = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Visit:
    """One architecture in one pass, ms; the rest is of nasd's number: its doubt, its time, and its time in the lock."""

    nasd: float
    plain: float
    unsteady: str | None
    seconds: float
    alone_s: float


def study(kind: str) -> StudySpec:
    preset = "small" if kind == "transformer" else None
    return StudySpec(
        name="bench", data=DataSpec(use="digits"), space=SpaceSpec(kind=kind, preset=preset),
        objectives={"latency_ms": ObjectiveSpec()}, budget=BudgetSpec(trials=1),
    )  # fmt: skip


def sampled(n: int, seed: int) -> list[tuple[StudySpec, Architecture]]:
    rng = np.random.default_rng(seed)
    studies = [study(kind) for kind in FAMILIES]
    built = [(spec, spaces.build(spec.space, describe(spec.data).problem)) for spec in studies]
    return [(spec, space.sample(rng)) for i in range(n) for spec, space in [built[i % len(built)]]]


def visit(spec: StudySpec, architecture: Architecture, exclusive: Exclusive) -> Visit:
    facts = describe(spec.data)
    began = time.perf_counter()
    found, _ = measure(architecture, spec, facts, seed=0, exclusive=exclusive)
    seconds = time.perf_counter() - began
    plain = plain_mean(architecture, spec, exclusive)
    said: dict[str, Any] = dict(found.conditions)
    return Visit(found.value, plain, said.get("unsteady"), seconds, said["exclusive_s"])


@torch.inference_mode()
def plain_mean(architecture: Architecture, spec: StudySpec, exclusive: Exclusive) -> float:
    problem = describe(spec.data).problem
    module = build_module(architecture, problem=problem, seed=0).eval()
    inputs = example_inputs(problem, 1)
    for _ in range(PLAIN_WARM_UP):
        module(inputs)
    with exclusive():
        before = time.perf_counter()
        for _ in range(PLAIN_CALLS):
            module(inputs)
        return (time.perf_counter() - before) / PLAIN_CALLS * 1000


@contextlib.contextmanager
def trainer(mode: str) -> Iterator[dict[str, float]]:
    """A process that trains meanwhile; afterwards the yielded dict has its seconds and those it stood still."""
    report: dict[str, float] = {}
    command = [sys.executable, str(Path(__file__).resolve()), "--train", mode]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdout.readline()  # it has taken its first step
            yield report
        finally:
            process.stdin.close()
            last = process.stdout.read().strip()
            report.update(json.loads(last))


class Told(Exception):
    """The measuring process is done."""


def train_until_told(mode: str) -> None:
    """Be the trainer: a CNN on digits, again and again, until standard input ends."""
    torch.set_num_threads(1)
    spec, lock = study("cnn"), HostLock()
    architecture = dict(spaces.baselines(spaces.build(spec.space, describe(spec.data).problem)))["medium"]
    os.set_blocking(sys.stdin.fileno(), False)
    began, paused, steps = time.perf_counter(), 0.0, 0

    def at_step(_: int) -> None:
        nonlocal began, paused, steps
        if steps == 0:
            print("training", flush=True)
            began = time.perf_counter()
        steps += 1
        if os_is_closed():
            raise Told
        if mode == "lock":
            paused += lock.boundary(lambda: None, share=True)

    with contextlib.suppress(Told):
        while True:
            train(architecture, spec, search_split(spec.data), seed=0, steps=600, at_step=at_step)
    print(json.dumps({"seconds": time.perf_counter() - began, "paused": paused, "steps": steps}), flush=True)


def os_is_closed() -> bool:
    try:
        return os.read(sys.stdin.fileno(), 1) == b""
    except BlockingIOError:
        return False


def one_pass(architectures: list[tuple[StudySpec, Architecture]], exclusive: Exclusive) -> list[Visit]:
    return [visit(spec, architecture, exclusive) for spec, architecture in architectures]


def line(name: str, quiet: list[float], passes: list[list[float]]) -> str:
    """One row of the table."""
    table = np.array(passes)  # (passes, architectures)
    variation = float(np.median(table.std(axis=0, ddof=1) / table.mean(axis=0)))
    between = spearmanr(table[0], table[1]).statistic
    against = min(spearmanr(one, quiet).statistic for one in table)
    ratio = float(np.median(table / np.array(quiet)))
    return f"{name:<22}{variation:>10.1%}{between:>12.3f}{against:>12.3f}{ratio:>10.2f}"


def report(
    quiet: list[Visit], passes: dict[str, list[list[Visit]]], trainers: dict[str, list[dict[str, float]]]
) -> None:
    print(f"{'':<22}{'variation':>10}{'between':>12}{'with quiet':>12}{'ratio':>10}")
    for mode, shown in (("lock", "host lock"), ("free", "no lock")):
        for what, name in (("nasd", "nasd"), ("plain", "plain mean")):
            base = [getattr(one, what) for one in quiet]
            print(line(f"{shown}, {name}", base, [[getattr(one, what) for one in visits] for visits in passes[mode]]))
    for mode, visits in passes.items():
        flat = [one for each in visits for one in each]
        n_unsteady = sum(one.unsteady is not None for one in flat)
        took, alone = (statistics.median(getattr(one, what) for one in flat) for what in ("seconds", "alone_s"))
        seconds, paused, steps = (sum(one[what] for one in trainers[mode]) for what in ("seconds", "paused", "steps"))
        print(
            f"{mode}: {n_unsteady} of {len(flat)} marked unsteady; a measurement took {took:.2f} s, {alone:.3f} s "
            f"of them alone (medians); the trainer made {steps / seconds:.0f} steps/s and stood still for "
            f"{paused / len(flat) * 1000:.0f} ms a visit, the 60 plain calls included"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--train", choices=("lock", "free"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train_until_told(options.train)
        return
    torch.set_num_threads(1)
    lock = HostLock()
    exclusives: dict[str, Exclusive] = {
        "lock": lambda: lock.exclusive(lambda: None),
        "free": contextlib.nullcontext,
    }
    chosen = sampled(options.architectures, options.seed)
    one_pass(chosen[: len(FAMILIES)], exclusives["lock"])  # libraries are loaded, the sentinel has a past
    quiet = one_pass(chosen, exclusives["lock"])
    passes: dict[str, list[list[Visit]]] = {"lock": [], "free": []}
    trainers: dict[str, list[dict[str, float]]] = {"lock": [], "free": []}
    for _ in range(options.passes):
        for mode, visits in passes.items():
            with trainer(mode) as told:
                visits.append(one_pass(chosen, exclusives[mode]))
            trainers[mode].append(told)
    report(quiet, passes, trainers)
    if options.json:
        raw = {"quiet": quiet, **passes}
        options.json.write_text(json.dumps(raw, default=asdict))


if __name__ == "__main__":
    main()
