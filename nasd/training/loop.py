"""Training: architecture, recipe and split to measurements; equal optimiser steps, batch and data order for all.

The recipe: tensors on the device once, a fresh permutation every epoch with index batching (the last, smaller batch is
dropped, so that all steps cost the same), AdamW, warm-up and cosine to zero, cross-entropy, float32. Validation is read
once, after the last step. At one thread the same architecture and seed give the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasd.data import SearchSplit
from nasd.domain.architecture import Architecture
from nasd.domain.measurement import Measurement
from nasd.domain.study import StudySpec, TrainSpec
from nasd.nets import build_module
from nasd.nets.runtime import candidate_memory, pick_device, synchronise, versions
from nasd.training.adamw import AdamW
from nasd.training.losses import LossWatch
from nasd.training.report import Validation, measurements
from nasd.training.schedule import learning_rate
from nasd.training.seeding import dropout_seeded, order_generator, weight_seed

_EVALUATION_BATCH = 1024


def train(
    architecture: Architecture,
    spec: StudySpec,
    split: SearchSplit,
    *,
    seed: int,
    steps: int,
    at_step: Callable[[int], None],
) -> tuple[Measurement, ...]:
    """Train for `steps` optimiser steps and validate: `val_error`, `val_loss`, `train_loss`.

    `seed` decides weights, data order and dropout. `at_step` is called before every step with its 0-based number; it
    may block (a pause) or raise, and what it raises passes through.

    Raises:
        CandidateFault: `diverged` (a loss that is not finite, or ends far above that of knowing nothing) or
            `out_of_memory`.
    """
    device = pick_device()
    with candidate_memory("training"), dropout_seeded(seed, device):
        data = _Data.on(device, split, batch=spec.train.batch)
        shape = tuple(split.train_x.shape[1:])
        module = build_module(architecture, input_shape=shape, n_outputs=split.n_classes, seed=weight_seed(seed))
        module.to(device).train()
        watch = LossWatch(
            n_classes=split.n_classes, keep=data.batches_per_epoch, every=1 if device.type == "cpu" else 50
        )
        seconds = _fit(module, data, spec.train, watch, seed=seed, steps=steps, at_step=at_step)
        train_losses = watch.close()
        validation = _validate(module, data)
    conditions = {
        **versions(),
        "device": str(device),
        "precision": "float32",
        "threads": torch.get_num_threads(),
        "seed": seed,
        "steps": steps,
        "batch": data.batch,
        "lr": spec.train.lr,
        "weight_decay": spec.train.weight_decay,
        "warmup": spec.train.warmup,
        "data": {"name": split.name, "sha256": dict(split.sha256)},
        "seconds": round(seconds, 4),
    }
    return measurements(train_losses, validation, conditions)


def _fit(
    module: nn.Module,
    data: _Data,
    recipe: TrainSpec,
    watch: LossWatch,
    *,
    seed: int,
    steps: int,
    at_step: Callable[[int], None],
) -> float:
    """All optimiser steps; the seconds they took without those that `at_step` kept us waiting."""
    optimiser = AdamW(module.parameters(), weight_decay=recipe.weight_decay)
    paused_s, started = 0.0, time.perf_counter()
    for step, index in zip(range(steps), data.batches(seed), strict=False):
        before = time.perf_counter()
        at_step(step)
        paused_s += time.perf_counter() - before
        watch.add(
            _step(module, optimiser, data, index, learning_rate(step, steps, peak=recipe.lr, warmup=recipe.warmup))
        )
    synchronise(data.train_x.device)
    return time.perf_counter() - started - paused_s


@dataclass(frozen=True, slots=True)
class _Data:
    """Both splits on the device, inputs brought to mean 0 and deviation 1 of the training inputs."""

    train_x: Tensor
    train_y: Tensor
    validation_x: Tensor
    validation_y: Tensor
    batch: int

    @classmethod
    def on(cls, device: torch.device, split: SearchSplit, *, batch: int) -> _Data:
        mean = split.train_x.mean(dtype=np.float64)
        scale = max(float(split.train_x.std(dtype=np.float64)), 1e-6)

        def inputs(x: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Tensor:
            return torch.from_numpy(((x - mean) / scale).astype(np.float32)).to(device)

        return cls(
            train_x=inputs(split.train_x),
            train_y=torch.from_numpy(split.train_y.copy()).to(device),
            validation_x=inputs(split.validation_x),
            validation_y=torch.from_numpy(split.validation_y.copy()).to(device),
            batch=min(batch, len(split.train_y)),
        )

    @property
    def batches_per_epoch(self) -> int:
        return len(self.train_y) // self.batch

    def batches(self, seed: int) -> Iterator[Tensor]:
        """Index tensors of (batch,) without end; depends on `seed`, the number of samples and the batch alone."""
        generator = order_generator(seed)
        while True:
            order = torch.randperm(len(self.train_y), generator=generator).to(self.train_y.device)
            for i in range(self.batches_per_epoch):
                yield order[i * self.batch : (i + 1) * self.batch]


def _step(module: nn.Module, optimiser: AdamW, data: _Data, index: Tensor, rate: float) -> Tensor:
    loss = functional.cross_entropy(module(data.train_x[index]), data.train_y[index])
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step(rate)
    return loss.detach()


@torch.inference_mode()
def _validate(module: nn.Module, data: _Data) -> Validation:
    module.eval()
    logits = torch.cat([module(x) for x in torch.split(data.validation_x, _EVALUATION_BATCH)])
    losses = functional.cross_entropy(logits, data.validation_y, reduction="none").double()
    return Validation(
        n=len(losses),
        n_wrong=int((logits.argmax(dim=1) != data.validation_y).sum()),
        loss=float(losses.mean()),
        loss_deviation=float(losses.std(correction=0)),
    )
