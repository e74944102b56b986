"""Setting a training up: the module on the device, its data, and all that the loop works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import nn

from nasd.data import SearchSplit
from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.domain.measurement import JsonObject
from nasd.domain.recipe import train_spec
from nasd.domain.study import Compile, Precision, StudySpec, TrainSpec
from nasd.errors import CandidateFault
from nasd.nets import build_module
from nasd.nets.runtime import bfloat16_pays, place, versions
from nasd.training.augment import Augmentation
from nasd.training.checkpoint import CheckpointStore, Saver, identity_of
from nasd.training.compiling import Compiling
from nasd.training.criterion import Criterion
from nasd.training.gradients import Gradients
from nasd.training.losses import LossWatch
from nasd.training.metric import Metric, MetricFunction
from nasd.training.optimiser import Optimiser
from nasd.training.progress import Progress
from nasd.training.seeding import weight_seed
from nasd.training.tensors import Tensors
from nasd.training.validation import Validation, Validator

_READ_EVERY = 50  # losses on a GPU: every read waits for the kernels before it
_IN_CONDITIONS = ("lr", "weight_decay", "warmup")  # of the recipe, whatever they are; others where they are not usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which training: what decides its numbers, and what of the user's takes part."""

    architecture: Architecture
    spec: StudySpec
    split: SearchSplit
    seed: int
    steps: int
    build: Callable[[int], nn.Module] | None = None
    metric: MetricFunction | None = None

    @property
    def recipe(self) -> TrainSpec:
        """With the searched settings put in."""
        return train_spec(self.architecture, self.spec)

    @property
    def problem(self) -> Problem:
        return Problem(
            input_shape=tuple(self.split.train_x.shape[1:]),
            n_outputs=self.split.n_outputs,
            task=self.recipe.task,
            vocabulary=self.split.vocabulary,
        )

    def module(self) -> nn.Module:
        """Fresh, in training mode on the CPU."""
        weights = weight_seed(self.seed)
        if self.build is not None:
            return self.build(weights).train()
        return build_module(self.architecture, problem=self.problem, seed=weights).train()

    def identity(self, device: torch.device) -> str:
        """Of its checkpoints: of another training, or one on other software, none is taken."""
        facts = {
            "architecture": self.architecture.json,
            "recipe": asdict(self.recipe),
            "model": asdict(self.spec.model),
            "data": dict(self.split.sha256),
            "seed": self.seed,
            "steps": self.steps,
            "device": device.type,
            "threads": torch.get_num_threads(),
            **versions(),
        }
        return identity_of(facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training, ready to go or to go on."""

    recipe: TrainSpec
    seed: int
    steps: int
    device: torch.device
    is_bfloat16: bool
    is_channels_last: bool
    tensors: Tensors
    progress: Progress
    validator: Validator
    saver: Saver
    compiling: Compiling | None

    @classmethod
    def of(
        cls, request: Request, device: torch.device, *, checkpoint: CheckpointStore | None, every_s: float
    ) -> Training:
        """Build and place everything, and go on from the checkpoint where there is one.

        Raises:
            CandidateFault: `unsupported`, nothing in it can be trained.
            UserError: an augmentation that these data can't have.
        """
        recipe, problem, module = request.recipe, request.problem, request.module()
        inside = place(module, device, input_shape=problem.input_shape)
        tensors = Tensors.on(device, request.split, problem, batch=recipe.batch, channels_last=inside)
        criterion = Criterion.of(problem, recipe, tensors)
        bfloat16 = recipe.precision is Precision.BFLOAT16 or (
            recipe.precision is Precision.AUTO and bfloat16_pays(device)
        )
        progress = _progress(request, module, tensors, criterion, bfloat16=bfloat16)
        saver = Saver(checkpoint, identity=request.identity(device), every_s=every_s)
        if (state := saver.load()) is not None:
            progress.restore(state)
        auto = recipe.compile is Compile.AUTO
        return cls(
            recipe=recipe,
            seed=request.seed,
            steps=request.steps,
            device=device,
            is_bfloat16=bfloat16,
            is_channels_last=inside,
            tensors=tensors,
            progress=progress,
            validator=Validator(module, tensors, criterion, _metric(recipe, request.metric)),
            saver=saver,
            compiling=Compiling(module, device, family=request.architecture.space) if auto else None,
        )

    def validate(self) -> Validation:
        """The network as it is now."""
        return self.validator(micro_batch=self.progress.gradients.micro_batch(self.tensors.batch))

    def conditions(self, split: SearchSplit) -> JsonObject:
        """What its numbers depend on, and what they took."""
        usual, progress = asdict(TrainSpec()), self.progress
        unusual = {
            name: value
            for name, value in asdict(self.recipe).items()
            if value != usual[name] and name not in (*_IN_CONDITIONS, "batch", "steps")
        }
        return {
            **versions(),
            "device": str(self.device),
            "precision": "bfloat16" if self.is_bfloat16 else "float32",
            "threads": torch.get_num_threads(),
            "seed": self.seed,
            "steps": self.steps,
            "batch": self.tensors.batch,
            "micro_batch": progress.gradients.micro_batch(self.tensors.batch),
            **{name: getattr(self.recipe, name) for name in _IN_CONDITIONS},
            **({"recipe": unusual} if unusual else {}),
            **({"memory_format": "channels_last"} if self.is_channels_last else {}),
            **({"compiled": True} if self.compiling is not None and self.compiling.is_compiled else {}),
            **({"resumed_at": progress.resumed_at} if progress.resumed_at else {}),
            "data": {"name": split.name, "sha256": dict(split.sha256)},
            "seconds": round(progress.clock.seconds, 4),
        }


def _progress(
    request: Request, module: nn.Module, tensors: Tensors, criterion: Criterion, *, bfloat16: bool
) -> Progress:
    """Before the first step.

    Raises:
        CandidateFault: `unsupported`, nothing in the module can be trained.
        UserError: an augmentation that these data can't have.
    """
    recipe, device = request.recipe, tensors.device
    optimiser = Optimiser(recipe, module.named_parameters())
    if optimiser.is_empty:
        raise CandidateFault("unsupported", "the network has no parameter that can be trained")
    return Progress(
        module=module,
        optimiser=optimiser,
        gradients=Gradients(module, criterion, optimiser, device, bfloat16=bfloat16),
        watch=LossWatch(
            trivial_loss=criterion.trivial_loss,
            keep=_n_last(tensors.batches_per_epoch, request.steps),
            every=_READ_EVERY if device.type == "cuda" else 1,
        ),
        augmentation=Augmentation.of(recipe, request.problem, seed=request.seed, device=device),
        device=device,
    )


def _n_last(batches_per_epoch: int, steps: int) -> int:
    """How many last losses `train_loss` is the mean of: an epoch's, or a tenth where the training has no epoch."""
    return batches_per_epoch if batches_per_epoch <= steps else max(steps // 10, 20)


def _metric(recipe: TrainSpec, function: MetricFunction | None) -> Metric | None:
    if recipe.metric is None:
        return None
    if function is None:
        raise ValueError(f"train.metric = {recipe.metric}: nobody loaded it")
    return Metric(recipe.metric.rpartition(":")[2], function)
