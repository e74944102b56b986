"""Samples per second of nasd's training loop, PyTorch Lightning's Trainer and a plain loop over a DataLoader.

    python scripts/bench/training.py [--rounds 7] [--scale 1] [--only mlp cnn2d] [--cpu]

The same network, batch of 128, AdamW, one thread, random data in memory. Each has a process of its own; they take
turns, each round in another order, so that a slow phase of the machine meets all of them. A rate is that of the steps
after the first tenth: what setting up takes is not in it. nasd runs as a worker runs it, with its warm-up and cosine,
the loss looked at after every step and a call at each step boundary; Lightning runs without logger, checkpoints and
bars, and neither it nor the plain loop has a schedule. --cpu counts processor seconds, for a machine that others use.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from nasd.data import SearchSplit
from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.domain.study import BudgetSpec, ObjectiveSpec, StudySpec, TrainSpec
from nasd.nets import build_module
from nasd.training import train

BATCH = 128
SPEC = StudySpec(
    name="bench", train=TrainSpec(batch=BATCH), objectives={"val_error": ObjectiveSpec()}, budget=BudgetSpec(trials=1)
)


@dataclass(frozen=True, slots=True)
class Case:
    """A network, the data it takes, how many steps last about a second, and the goal for nasd : Lightning."""

    name: str
    architecture: Architecture
    input_shape: tuple[int, ...]
    n_samples: int
    steps: int
    goal: float

    @property
    def problem(self) -> Problem:
        return Problem(input_shape=self.input_shape, n_outputs=10)


def _cnn() -> Architecture:
    """The space's own hand-made network of medium size."""
    per_block = {"op": "conv", "channels": 32, "kernel": 3, "residual": False, "se": False}
    blocks = {name: [value] * 3 for name, value in per_block.items()}
    genes = {"blocks": 3, **blocks, "stride": [1, 2, 2], "activation": "relu", "norm": "batchnorm"}
    return Architecture.of("cnn", genes)


CASES = (
    Case(
        "mlp",
        Architecture.of(
            "mlp",
            {"layers": 3, "widths": [128] * 3, "activation": "relu", "norm": "batchnorm", "dropout": 0.0},
        ),
        (40,), 4096, 1000, 2.5,
    ),
    Case("cnn1d", _cnn(), (1, 40), 4096, 250, 1.0),
    Case("cnn2d", _cnn(), (1, 28, 28), 2048, 30, 2.0),
    Case(
        "transformer",
        Architecture.of(
            "transformer",
            {
                "layers": 2, "d_model": 32, "heads": 4, "mlp_ratio": 4, "norm_position": "pre", "positions": "learned",
                "attention": "full", "window": None, "stride": None, "experts": "dense", "n_experts": None,
                "top_k": None, "sharing": "none", "activation": "gelu", "dropout": 0.0, "patch": 1, "context": 40,
            },
        ),
        (1, 40), 4096, 60, 1.0,
    ),
)  # fmt: skip

Run = Callable[[Case, SearchSplit, int, Callable[[], float]], list[float]]  # -> the moments at which steps began


def with_nasd(case: Case, split: SearchSplit, steps: int, clock: Callable[[], float]) -> list[float]:
    """Our loop, whole."""
    began: list[float] = []
    train(case.architecture, SPEC, split, seed=0, steps=steps, at_step=lambda _: began.append(clock()))
    return began


def with_lightning(case: Case, split: SearchSplit, steps: int, clock: Callable[[], float]) -> list[float]:
    """Lightning's, as its documentation begins."""
    import lightning

    began: list[float] = []

    class Classifier(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = build_module(case.architecture, problem=case.problem, seed=0)

        def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
            x, y = batch
            return functional.cross_entropy(self.network(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=3e-3, weight_decay=0.01)

        def on_train_batch_start(self, batch: object, batch_idx: int) -> None:  # noqa: ARG002
            began.append(clock())

    trainer = lightning.Trainer(
        max_steps=steps, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Classifier(), _loader(split))
    return began


def with_loader(case: Case, split: SearchSplit, steps: int, clock: Callable[[], float]) -> list[float]:
    """What one writes in ten lines."""
    network = build_module(case.architecture, problem=case.problem, seed=0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.01)
    began: list[float] = []
    for _, (x, y) in zip(range(steps), _endless(_loader(split)), strict=False):
        began.append(clock())
        optimiser.zero_grad()
        functional.cross_entropy(network(x), y).backward()
        optimiser.step()
    return began


RUNS: dict[str, Run] = {"nasd": with_nasd, "lightning": with_lightning, "loader": with_loader}


def _loader(split: SearchSplit) -> DataLoader[tuple[Tensor, ...]]:
    data = TensorDataset(torch.from_numpy(split.train_x), torch.from_numpy(split.train_y))
    return DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True)


def _endless(loader: DataLoader[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    while True:
        yield from loader


def _split(case: Case) -> SearchSplit:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(case.n_samples, *case.input_shape)).astype(np.float32)
    y = rng.integers(0, 10, case.n_samples)
    return SearchSplit(
        name="random", n_outputs=10, sha256={}, train_x=x, train_y=y, validation_x=x[:64], validation_y=y[:64]
    )


def _rate(began: list[float]) -> float:
    """Samples per second after the first tenth of the steps."""
    skipped = max(len(began) // 10, 1)
    return (len(began) - 1 - skipped) * BATCH / (began[-1] - began[skipped])


def serve(name: str, clock: Callable[[], float]) -> None:
    """Be one of the three: read `[case, steps]` from standard input, answer with a rate."""
    torch.set_num_threads(1)
    _silence()
    cases = {case.name: (case, _split(case)) for case in CASES}
    for line in sys.stdin:
        wanted, steps = json.loads(line)
        case, split = cases[wanted]
        print(_rate(RUNS[name](case, split, steps, clock)), flush=True)


def _silence() -> None:
    warnings.filterwarnings("ignore")  # Lightning advises more loader processes
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)


class Server:
    """A process that serves one of the three."""

    def __init__(self, name: str, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def rate(self, case: Case, steps: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([case.name, steps]), file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def measure(case: Case, servers: dict[str, Server], *, rounds: int, scale: float) -> dict[str, list[float]]:
    """Rates by name, one for each round."""
    steps, names = max(round(case.steps * scale), 5), list(servers)
    for server in servers.values():
        server.rate(case, 5)  # imports, caches
    rates: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            rates[name].append(servers[name].rate(case, steps))
    return rates


def _print(case: Case, rates: dict[str, list[float]]) -> None:
    parameters = sum(p.numel() for p in build_module(case.architecture, problem=case.problem, seed=0).parameters())
    print(f"{case.name} ({parameters:,} parameters, input {case.input_shape})")
    for name, each in rates.items():
        line = f"  {name:10} {statistics.median(each):10,.0f} samples/s  ({min(each):,.0f} to {max(each):,.0f})"
        if name != "nasd":
            ratios = [ours / theirs for ours, theirs in zip(rates["nasd"], each, strict=True)]
            line += f"   nasd is {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"
            line += f", goal {case.goal:g}" if name == "lightning" else ""
        print(line, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of steps")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES])
    parser.add_argument("--cpu", action="store_true", help="count processor seconds")
    parser.add_argument("--serve", choices=RUNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, time.process_time if options.cpu else time.perf_counter)
        return
    names = list(RUNS)
    if find_spec("lightning") is None:
        names.remove("lightning")
        print('Lightning is not installed, so it is left out. pip install "nasd[bench]" (or: pip install lightning)')
    servers = {name: Server(name, *(["--cpu"] if options.cpu else [])) for name in names}
    for case in CASES:
        if options.only is None or case.name in options.only:
            _print(case, measure(case, servers, rounds=options.rounds, scale=options.scale))
    for server in servers.values():
        server.close()


if __name__ == "__main__":
    main()
