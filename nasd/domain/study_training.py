"""The tables of a study file that say how one architecture is evaluated: data, model, training, measuring."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from nasd.domain.data import Task
from nasd.domain.devices import OnMissing
from nasd.domain.study_checks import functions, not_negative, positive


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Which data; splits are fixed by `seed` and recorded with a hash. Exactly one of `use`, `load` and `files`.

    Attributes:
        use: a data set that comes with nasd.
        load: the user's own function, `package.module:function`.
        files: a folder or file of data (npz, npy, safetensors, IDX, a folder for each class).
        context: tokens that one sample of a text has.
        validation: the share of the samples that is set apart, where the data come without a split of their own.
        test: the same.
    """

    use: str | None = None
    load: str | None = None
    files: str | None = None
    seed: int = 0
    context: int | None = None
    validation: float = 0.2
    test: float = 0.2

    def __post_init__(self) -> None:
        not_negative("data", seed=self.seed)
        positive("data", context=self.context, validation=self.validation, test=self.test)
        functions("data", load=self.load)
        given = [key for key in ("use", "load", "files") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"data: give one of use, load and files, not {' and '.join(given) or 'none'}")
        if self.validation + self.test >= 1:
            raise ValueError(
                f"data.validation = {self.validation}: with data.test = {self.test} nothing is left to train"
            )

    @property
    def name(self) -> str:
        """As a person would call the data."""
        return self.use or self.load or self.files or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """The user's own module, and where its weights begin.

    Attributes:
        build: `package.module:function`, called with the genes as a plain dict and the shapes.
        init: a safetensors file of weights to begin with.
        freeze: patterns of the names of parameters that are not trained.
    """

    build: str | None = None
    init: str | None = None
    freeze: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        functions("model", build=self.build)


class Optimiser(StrEnum):
    """Which optimiser, both on torch's fused kernels."""

    ADAMW = "adamw"
    SGD = "sgd"


class Precision(StrEnum):
    """Of the training's arithmetic; `auto`: bfloat16 on GPUs that have instructions for it."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Compile(StrEnum):
    """Whether torch.compile is used; `auto`: where it was measured to pay on this device."""

    NEVER = "never"
    AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """The recipe: the same optimiser steps for every architecture.

    Attributes:
        warmup: the share of `steps` in which the learning rate rises.
        momentum: of SGD (Nesterov's).
        clip_norm: gradients are scaled down to this norm.
        flip: mirror half of the samples along their last dimension.
        crop: shift samples by up to so many positions along each spatial dimension, filled with zeros.
        noise: standard deviation of Gaussian noise added to inputs, in units of the inputs' own deviation.
        mixup: alpha of the Beta distribution that mixes pairs of samples; 0: none.
        validate_every: validate after every so many steps too; None: after the last one only.
        metric: the user's own, `package.module:function`, called with predictions and targets of the validation split.
        time_limit_s: of one evaluation.
        needs: what a worker must offer to train, such as "gpu".
    """

    task: Task = Task.CLASSIFICATION
    steps: int = 300
    batch: int = 128
    optimiser: Optimiser = Optimiser.ADAMW
    lr: float = 3e-3
    momentum: float = 0.9
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    flip: bool = False
    crop: int = 0
    noise: float = 0.0
    mixup: float = 0.0
    precision: Precision = Precision.AUTO
    compile: Compile = Compile.NEVER
    validate_every: int | None = None
    metric: str | None = None
    time_limit_s: float | None = None
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive("train", steps=self.steps, batch=self.batch, lr=self.lr, time_limit_s=self.time_limit_s)
        positive("train", clip_norm=self.clip_norm, validate_every=self.validate_every)
        not_negative("train", weight_decay=self.weight_decay, crop=self.crop, noise=self.noise, mixup=self.mixup)
        functions("train", metric=self.metric)
        for name in ("warmup", "momentum", "label_smoothing"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise ValueError(f"train.{name} = {value}: must be at least 0 and below 1")
        if self.task not in (Task.CLASSIFICATION, Task.LM):
            for name in ("label_smoothing", "mixup"):
                if getattr(self, name):
                    raise ValueError(f"train.{name} = {getattr(self, name)}: is not for {self.task}. Remove the key")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSpec:
    """How latency and memory are measured on the device."""

    batch: int = 1
    threads: int = 1
    windows: int = 5
    window_s: float = 0.008  # five with their sentinels pause the trainers of a host for 5 % of a two-second training
    warmup_s: float = 0.02
    rounds: int = 1  # later rounds revise the value of what is on the front
    max_spread: float = 0.1  # of the windows, relative to the value: above it is measured again, then marked unsteady
    on_missing_device: OnMissing = OnMissing.WAIT
    patience_s: float = 60.0  # how long a trial that is otherwise finished waits for a device

    def __post_init__(self) -> None:
        positive("measure", batch=self.batch, threads=self.threads, windows=self.windows, window_s=self.window_s)
        positive("measure", warmup_s=self.warmup_s, rounds=self.rounds, max_spread=self.max_spread)
        not_negative("measure", patience_s=self.patience_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSpec:
    """The user's own evaluation, `package.module:function`, instead of training and measuring.

    Attributes:
        costs: another function of the user's: values that are known before anything is evaluated.
        time_limit_s: of one evaluation.
    """

    run: str
    costs: str | None = None
    time_limit_s: float | None = None

    def __post_init__(self) -> None:
        positive("evaluation", time_limit_s=self.time_limit_s)
        functions("evaluation", run=self.run, costs=self.costs)
