"""Trained networks of every space as ONNX files, run by ONNX Runtime: the largest difference from torch, by space.

    .venv/bin/python scripts/bench/export_parity.py [--trials 10] [--steps 60] [--formats onnx,pt2,safetensors]

Architectures are drawn from the example studies' spaces, trained on their data, and exported as `nasd export` does it:
the file is read back and compared on 256 validation samples. Fails where one differs by more than 1e-4, or can't be
written at all.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nasd import data, spaces
from nasd.app.users import in_folder
from nasd.domain.seeding import evaluation_seed
from nasd.domain.study import StudySpec
from nasd.errors import UserError
from nasd.exporting.export import export, split_of
from nasd.exporting.formats import Format
from nasd.exporting.parity import LIMIT
from nasd.exporting.trained import train_again
from nasd.exporting.trial import TrialRecord
from nasd.studyfile import load

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
STUDIES = ("digits-mlp", "mnist1d-cnn", "digits-cnn", "digits-transformer", "text-lm", "custom-space")


def study(name: str, steps: int) -> StudySpec:
    """An example's study with a short training; `digits-cnn` is the CNN space on images, which no example has."""
    if name == "digits-cnn":
        found = load(EXAMPLES / "mnist1d-cnn.toml")
        found = replace(found, name=name, data=replace(found.data, use="digits"))
    else:
        found = load(EXAMPLES / f"{name}.toml")
    return replace(found, train=replace(found.train, steps=steps))


def trials(spec: StudySpec, n: int) -> list[TrialRecord]:
    """`n` different architectures, drawn by a fixed seed."""
    facts = data.describe(spec.data, spec.train.task)
    space, rng = spaces.build(spec.space, facts.problem), np.random.default_rng(0)
    found = {}
    while len(found) < n:
        architecture = space.sample(rng)
        found[architecture.key] = architecture
    return [
        TrialRecord(
            study=spec.name,
            number=number,
            spec=spec,
            facts=facts,
            architecture=architecture,
            seed=evaluation_seed(spec.seed, architecture.key, 0),
            steps=spec.train.steps,
        )
        for number, architecture in enumerate(found.values())
    ]


def largest(spec: StudySpec, n: int, formats: list[Format]) -> tuple[dict[Format, float], int]:
    """(the largest difference by format, how many could not be exported)."""
    worst, n_failed = dict.fromkeys(formats, 0.0), 0
    for trial in trials(spec, n):
        split = split_of(trial, allow=None)
        try:
            trained = train_again(trial, split, allow=None)
        except UserError as error:
            print(f"  {error}", file=sys.stderr)  # it diverged: there is no trained network to compare with
            continue
        for wanted in formats:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    made = export(trial, trained, split, wanted=wanted, into=Path(folder) / "export")
                except UserError as error:
                    print(f"  {trial.architecture.json}\n  {error}", file=sys.stderr)
                    n_failed += 1
                    continue
            worst[wanted] = max(worst[wanted], made.parity.error)
            if made.parity.n_unstable:
                print(f"  trial {trial.number}: {made.parity}", file=sys.stderr)
    return worst, n_failed


def main() -> int:
    """Print a line for each space; 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--formats", default="onnx")
    parser.add_argument("--studies", default=",".join(STUDIES))
    options = parser.parse_args()
    formats = [Format(each) for each in options.formats.split(",")]
    print(f"{'study':20} {'space':12} trials  failed  seconds  largest difference (limit {LIMIT:g})")
    n_failed = 0
    for name in options.studies.split(","):
        began = time.perf_counter()
        with in_folder(EXAMPLES):
            spec = study(name, options.steps)
            worst, failed = largest(spec, options.trials, formats)
        shown = ", ".join(f"{wanted} {error:.1e}" for wanted, error in worst.items())
        took = time.perf_counter() - began
        print(f"{name:20} {spec.space.kind:12} {options.trials:6}  {failed:6}  {took:7.0f}  {shown}", flush=True)
        n_failed += failed
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
