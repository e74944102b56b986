"""Test accuracy, honestly: networks trained with their family's recipe, on splits that no recipe was chosen on.

    python scripts/bench/results.py hand   [--data digits mnist1d]    hand-made networks
    python scripts/bench/results.py search [--data digits]            what a search of 60 trials finds, beside them
    python scripts/bench/results.py text                              bits per byte of a language model, beside bzip2
    python scripts/bench/results.py hand --data FOLDER                the CNN on IDX files such as Fashion-MNIST

Recipes (`nasd.studyfile.known.RECIPES` and the ones below) were chosen on the validation parts of split seeds 0 to 2.
Here the test part is read, once a network and seed, on split seeds 100 to 104 with 3 training seeds each. The interval
is Student's over the five splits' means, so that it holds both the split's and the training's chance. A search sees
train and validation of its split only; of its trials the quickest is taken whose validation error is within a standard
error of the hand-made network's in the same search, and both are trained anew.
"""

from __future__ import annotations

import argparse
import bz2
import itertools
import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from example_run import database_of, run_study
from scipy import stats

from nasd import spaces
from nasd.data import SearchSplit, describe, search_split
from nasd.data.final import test_split
from nasd.domain.architecture import Architecture, Genes
from nasd.domain.data import Task
from nasd.domain.study import BudgetSpec, DataSpec, ObjectiveSpec, SpaceSpec, StudySpec, TrainSpec
from nasd.profiling.measure import measure
from nasd.studyfile.known import RECIPES
from nasd.training import train

SPLITS, SEEDS = range(100, 105), 3
_TRANSFORMER: Genes = {
    "layers": 2, "d_model": 64, "heads": 4, "mlp_ratio": 4, "norm_position": "pre", "positions": "learned",
    "attention": "full", "window": None, "stride": None, "experts": "dense", "n_experts": None, "top_k": None,
    "sharing": "none", "activation": "gelu", "dropout": 0.0, "patch": 2,
}  # fmt: skip
_TEXT: Genes = {
    **{name: value for name, value in _TRANSFORMER.items() if name != "patch"},
    "layers": 3, "d_model": 96, "positions": "rotary", "embedding": 96, "context": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A network, given by its genes or by a baseline's name, and what its family's recipe lacks."""

    name: str
    data: DataSpec
    kind: str
    network: Genes | str
    steps: int
    recipe: Mapping[str, object] = field(default_factory=dict)
    task: Task = Task.CLASSIFICATION

    def spec(self, split: int) -> StudySpec:
        recipe = {**RECIPES.get(self.kind, {}), **self.recipe}
        if self.task is not Task.CLASSIFICATION:
            recipe.pop("label_smoothing", None)
        return StudySpec(
            name="results",
            data=replace(self.data, seed=split),
            space=SpaceSpec(kind=self.kind, preset="small" if self.kind == "transformer" else None),
            train=TrainSpec(steps=self.steps, task=self.task, **recipe),  # type: ignore[arg-type]
            objectives={"val_error": ObjectiveSpec()},
            budget=BudgetSpec(trials=1),
        )

    def architecture(self, split: int) -> Architecture:
        spec = self.spec(split)
        space = spaces.build(spec.space, describe(spec.data, self.task).problem)
        if isinstance(self.network, str):
            return dict(spaces.baselines(space))[self.network]
        return space.canonical(self.network)


def hand_made(data: DataSpec) -> list[Entry]:
    """The networks to beat."""
    if data.use == "digits":
        return [
            Entry(name="MLP 3x256 BN", data=data, kind="mlp", network="medium", steps=600),
            Entry(name="CNN 3x32 k3 BN", data=data, kind="cnn", network="medium", steps=600),
            Entry(
                name="transformer d64 L2", data=data, kind="transformer", network=_TRANSFORMER, steps=600,
                recipe={"noise": 0.2},
            ),
        ]  # fmt: skip
    if data.use == "mnist1d":
        return [
            Entry(name="MLP 3x256 BN", data=data, kind="mlp", network="medium", steps=1500),
            Entry(name="CNN 3x32 k5 BN", data=data, kind="cnn", network="medium", steps=1500),
        ]
    return [Entry(name="CNN 3x32 k3 BN", data=data, kind="cnn", network="medium", steps=2340)]


def tested(job: tuple[Entry, Architecture, int, int]) -> float:
    """The test error (of a text: nats a byte) after training on the train part; the validation part lies idle."""
    torch.set_num_threads(1)
    entry, architecture, split, seed = job
    spec = entry.spec(split)
    facts = describe(spec.data, entry.task)
    x, y = test_split(spec.data, facts)
    on_test: SearchSplit = replace(search_split(spec.data, facts), validation_x=x, validation_y=y)
    measured = train(architecture, spec, on_test, seed=1000 + seed, steps=entry.steps, at_step=lambda _: None)
    wanted = "val_loss" if entry.task is Task.LM else "val_error"
    return next(one.value for one in measured if one.name == wanted)


def errors_of(entry: Entry, architectures: Mapping[int, Architecture], jobs: int) -> np.ndarray:
    """(splits, seeds) test errors."""
    work = [
        (entry, architectures[split], split, seed) for split, seed in itertools.product(architectures, range(SEEDS))
    ]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return np.array(list(pool.map(tested, work))).reshape(len(architectures), SEEDS)


def half_width(means: np.ndarray) -> float:
    """Of the 95 % interval of the mean over splits."""
    if len(means) < 2:
        return math.nan
    return float(stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / math.sqrt(len(means)))


def print_hand_made(names: Sequence[str], splits: Sequence[int], jobs: int) -> None:
    for data in map(data_of, names):
        for entry in hand_made(data):
            began = perf_counter()
            architectures = {split: entry.architecture(split) for split in splits}
            errors = errors_of(entry, architectures, jobs)
            accuracy = 100 * (1 - errors.mean(axis=1))
            seconds = (perf_counter() - began) * jobs / errors.size
            print(
                f"{data.name}, {entry.name}, {entry.steps} steps: test accuracy {accuracy.mean():.2f} "
                f"± {half_width(accuracy):.2f} %, {errors.size} trainings of {seconds:.1f} s",
                flush=True,
            )


def print_searched(names: Sequence[str], splits: Sequence[int], jobs: int) -> None:
    for data in map(data_of, names):
        hand = next(entry for entry in hand_made(data) if entry.kind == "cnn")
        found, ratios = {}, []
        with tempfile.TemporaryDirectory(prefix="nasd-results-") as folder:
            Path(folder).chmod(0o711)
            for split in splits:
                found[split] = searched(Path(folder), hand, split)
                ratios.append(latency_ratio(hand, found[split], split))
                print(
                    f"split {split}: {found[split].json}, latency {ratios[-1]:.2f} of the hand-made one's", flush=True
                )
        ours = errors_of(hand, found, jobs)
        theirs = errors_of(hand, {split: hand.architecture(split) for split in splits}, jobs)
        gain = 100 * (theirs - ours).mean(axis=1)
        print(
            f"{data.name}: found {100 * (1 - ours.mean()):.2f} %, hand-made {100 * (1 - theirs.mean()):.2f} %, paired "
            f"difference {gain.mean():+.2f} ± {half_width(gain):.2f} points, at {statistics.median(ratios):.2f} of the "
            f"latency (median; {min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def searched(folder: Path, hand: Entry, split: int) -> Architecture:
    """Of a search's trials the quickest whose validation error is within a standard error of the hand-made one's."""
    name = f"s{split}"
    path = folder / f"{name}.toml"
    path.write_text(
        f'seed = {split}\n[data]\nuse = "{hand.data.use}"\nseed = {split}\n[space]\nkind = "cnn"\npreset = "small"\n'
        f"[train]\nsteps = {hand.steps // 3}\n[objectives]\nval_error = {{}}\nlatency_ms = {{}}\n"
        '[strategy]\nuse = "nsga2"\n[budget]\ntrials = 60\n'
    )
    run_study(folder, path, workers=2)
    query = """
        select t.architecture from nasd.trials as t join nasd.baselines as b using (study)
        where t.study = %s and t.state = 'completed' and b.baseline = 'medium'
          and t.val_error <= b.val_error + (b.objectives #>> '{val_error,spread}')::double precision
        order by t.latency_ms limit 1"""
    with database_of(folder) as connection:
        row = connection.execute(query, [name]).fetchone()
    if row is None:
        raise SystemExit(f"split {split}: the hand-made network itself was not trained")
    return Architecture.of("cnn", row[0])


def latency_ratio(hand: Entry, found: Architecture, split: int) -> float:
    """Of `found` to the hand-made network, measured in turn."""
    spec = hand.spec(split)
    facts = describe(spec.data, hand.task)

    def latency_ms(architecture: Architecture) -> float:
        measured = measure(architecture, spec, facts, seed=0, exclusive=nullcontext)
        return next(one.value for one in measured if one.name == "latency_ms")

    pairs = [(latency_ms(found), latency_ms(hand.architecture(split))) for _ in range(7)]
    return statistics.median(ours / theirs for ours, theirs in pairs)


def print_text(jobs: int, steps: int) -> None:
    data = DataSpec(use="text", context=64)
    entry = Entry(
        name="transformer d96 L3 rotary", data=data, kind="transformer", network=_TEXT, steps=steps,
        recipe={"batch": 32}, task=Task.LM,
    )  # fmt: skip
    spec = entry.spec(0)
    facts = describe(spec.data, entry.task)
    x, _ = test_split(spec.data, facts)
    text = np.ascontiguousarray(x).astype(np.uint8).tobytes()
    began = perf_counter()
    nats = errors_of(entry, {0: entry.architecture(0)}, jobs)[0]
    seconds = (perf_counter() - began) * jobs / SEEDS
    bits = [value / math.log(2) for value in nats]
    print(
        f"text, {entry.name}, {steps} steps of 32 x 64 bytes: {statistics.mean(bits):.3f} bits a byte on the test part "
        f"({', '.join(f'{bit:.3f}' for bit in bits)}), {seconds:.0f} s a training; bzip2 on the same bytes "
        f"{8 * len(bz2.compress(text, 9)) / len(text):.3f}"
    )


def data_of(name: str) -> DataSpec:
    return DataSpec(use=name) if name in {"digits", "mnist1d"} else DataSpec(files=name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["hand", "search", "text"])
    parser.add_argument("--data", nargs="+", default=None)
    parser.add_argument("--splits", nargs="+", type=int, default=list(SPLITS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=1300, help="of the text model")
    options = parser.parse_args()
    if options.what == "hand":
        print_hand_made(options.data or ["digits", "mnist1d"], options.splits, options.jobs)
    elif options.what == "search":
        print_searched(options.data or ["digits"], options.splits, options.jobs)
    else:
        print_text(options.jobs, options.steps)


if __name__ == "__main__":
    main()
