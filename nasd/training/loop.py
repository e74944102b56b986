"""Training: architecture, recipe and split to measurements; equal optimiser steps, batch and data order for all.

Read this first: `_fit` is the one loop, for every space and task. What it works with is made in `setup`; a batch goes
through `tensors`, `augment`, `gradients` and `optimiser`, in this order. At one thread on a CPU the same architecture
and seed give the same bits, whether the training was stopped and resumed or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite

from torch import nn

from nasd.data import SearchSplit
from nasd.domain.architecture import Architecture
from nasd.domain.measurement import Measurement
from nasd.domain.study import StudySpec
from nasd.nets.allocator import memory_kept
from nasd.nets.runtime import candidate_memory, pick_device, synchronise
from nasd.training.checkpoint import EVERY_S, CheckpointStore
from nasd.training.metric import MetricFunction
from nasd.training.report import measurements
from nasd.training.schedule import learning_rate
from nasd.training.seeding import dropout_seeded
from nasd.training.setup import Request, Training

AtStep = Callable[[int], None]
Report = Callable[[int, Mapping[str, float]], None]


def _nobody(step: int, values: Mapping[str, float]) -> None:
    pass


def train(
    architecture: Architecture,
    spec: StudySpec,
    split: SearchSplit,
    *,
    seed: int,
    steps: int,
    at_step: AtStep,
    report: Report = _nobody,
    build: Callable[[int], nn.Module] | None = None,
    metric: MetricFunction | None = None,
    checkpoint: CheckpointStore | None = None,
    checkpoint_every_s: float = EVERY_S,
) -> tuple[Measurement, ...]:
    """Train for `steps` optimiser steps and validate: `val_error`, `val_loss`, `train_loss` and the user's metrics.

    Args:
        architecture: what is built, and the values of recipe parameters where those are searched.
        spec: the rest of the recipe.
        split: what a search may see.
        seed: decides weights, data order, augmentation and dropout.
        steps: the length of the one schedule.
        at_step: called before every step with its 0-based number; it may block (a pause) or raise, and what it raises
            passes through.
        report: called after every `validate_every`-th step but the last, with the number of steps and values by name.
        build: makes the module on the CPU from a seed; None: the architecture's family does.
        metric: the function that `train.metric` names.
        checkpoint: where this very training finds and leaves its state; None: it has no place.
        checkpoint_every_s: how often it is left; a shorter training leaves none.

    Raises:
        CandidateFault: `diverged` (a loss that is not finite, or ends far above that of knowing nothing),
            `out_of_memory` (in the smallest parts too), `unsupported`, or what `Metric` raises.
        UserError: an augmentation that these data can't have.
    """
    device = pick_device()
    request = Request(
        architecture=architecture, spec=spec, split=split, seed=seed, steps=steps, build=build, metric=metric
    )
    with memory_kept(), candidate_memory("training", device), dropout_seeded(seed, device):
        training = Training.of(request, device, checkpoint=checkpoint, every_s=checkpoint_every_s)
        _fit(training, at_step, report)
        train_losses = training.progress.watch.close()
        validation = training.validate()
    return measurements(
        train_losses,
        validation,
        training.conditions(split),
        task=training.recipe.task,
        units={name: objective.unit for name, objective in spec.objectives.items() if objective.unit},
        curve=training.progress.curve,
    )


def _fit(training: Training, at_step: AtStep, report: Report) -> None:
    """All optimiser steps that are left."""
    recipe, steps, progress, tensors = training.recipe, training.steps, training.progress, training.tensors
    augmentation, gradients, optimiser, compiling = (
        progress.augmentation, progress.gradients, progress.optimiser, training.compiling
    )  # fmt: skip
    clock = progress.clock
    for step, batch in zip(
        range(progress.step, steps), tensors.batches(training.seed, start=progress.step), strict=False
    ):
        clock.pause()
        training.saver.boundary(progress.state)
        try:
            at_step(step)
        except BaseException:
            training.saver.interrupted(progress.state)
            raise
        clock.go_on()

        if augmentation is not None:
            batch = augmentation(batch)  # noqa: PLW2901 - one name for one thing
        progress.watch.add(gradients.of(batch))
        optimiser.step(learning_rate(step, steps, peak=recipe.lr, warmup=recipe.warmup))
        progress.step = step + 1

        if recipe.validate_every and progress.step % recipe.validate_every == 0 and progress.step < steps:
            clock.pause()
            values = {name: value for name, value in training.validate().values.items() if isfinite(value)}
            progress.curve.append((progress.step, values))
            report(progress.step, values)
            clock.go_on()
        if compiling is not None and not compiling.is_done:
            gradients.forward = compiling.after_step(steps_left=steps - progress.step)
    synchronise(training.device)
    clock.pause()
