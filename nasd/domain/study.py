"""The study file as a value: everything a study is, validated. `nasd.studyfile` reads it from TOML.

Unknown keys are refused by the reader; relations between fields are checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nasd.domain.data import Task
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import Stage, unit_of
from nasd.domain.objective import SOURCES, Limit, Objective, Source


def _positive(owner: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{owner}.{name} = {value}: must be greater than 0")


def _not_negative(owner: str, **values: float) -> None:
    for name, value in values.items():
        if value < 0:
            raise ValueError(f"{owner}.{name} = {value}: must not be negative")


def _is_function(text: str) -> bool:
    """Whether `text` reads `package.module:function`."""
    module, colon, function = text.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _functions(owner: str, **values: str | None) -> None:
    for name, value in values.items():
        if value is not None and not _is_function(value):
            raise ValueError(f'{owner}.{name} = "{value}": write it as "package.module:function"')


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
        _not_negative("data", seed=self.seed)
        _positive("data", context=self.context, validation=self.validation, test=self.test)
        _functions("data", load=self.load)
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


class Role(StrEnum):
    """What a searched parameter belongs to."""

    ARCHITECTURE = "architecture"
    RECIPE = "recipe"  # its name is a key of [train]


Scalar = bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterSpec:
    """One entry of [space.params]; exactly one of the four domains.

    Attributes:
        choice: the options.
        ordered: whether `choice` ascends in meaning; None: it does where all options are numbers.
        int_range: inclusive.
        float_range: inclusive, uniform.
        log_range: inclusive, uniform on the logarithm.
        each: the whole-number parameter that says how many there are.
        when: an expression over other parameters; where it is false, this one does not exist.
        otherwise: the value that is read where it does not exist.
    """

    choice: tuple[Scalar, ...] | None = None
    ordered: bool | None = None
    int_range: tuple[int, int] | None = None
    float_range: tuple[float, float] | None = None
    log_range: tuple[float, float] | None = None
    each: str | None = None
    when: str | None = None
    otherwise: Scalar | None = None
    role: Role = Role.ARCHITECTURE


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSpec:
    """Which search space: a built-in one, narrowed by `params` that keep some of a choice's options, or a custom one
    that `params` declare. `constraints` are expressions over parameters that every architecture satisfies.
    """

    kind: str = "mlp"
    preset: str | None = None
    params: Mapping[str, ParameterSpec] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()


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
        _functions("model", build=self.build)


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

    def __post_init__(self) -> None:
        _positive("train", steps=self.steps, batch=self.batch, lr=self.lr, time_limit_s=self.time_limit_s)
        _positive("train", clip_norm=self.clip_norm, validate_every=self.validate_every)
        _not_negative("train", weight_decay=self.weight_decay, crop=self.crop, noise=self.noise, mixup=self.mixup)
        _functions("train", metric=self.metric)
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
    window_s: float = 0.008  # five of them pause the host's trainers for 3 % of a two-second training
    warmup_s: float = 0.02
    rounds: int = 1  # later rounds revise the value of what is on the front

    def __post_init__(self) -> None:
        _positive("measure", batch=self.batch, threads=self.threads, windows=self.windows, window_s=self.window_s)
        _positive("measure", warmup_s=self.warmup_s, rounds=self.rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSpec:
    """The user's own evaluation, `package.module:function`, instead of training and measuring."""

    run: str
    time_limit_s: float | None = None

    def __post_init__(self) -> None:
        _positive("evaluation", time_limit_s=self.time_limit_s)
        _functions("evaluation", run=self.run)


class Direction(StrEnum):
    """Which way an objective is better."""

    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveSpec:
    """One objective of the study file; its name is the key."""

    direction: Direction = Direction.MIN
    on: tuple[str, ...] = ()
    unit: str | None = None
    worst: float | None = None  # the hypervolume's reference for a quantity of the user's own
    best: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSpec:
    """One `[[limits]]` entry."""

    of: str
    max: float | None = None
    min: float | None = None
    on: str | None = None

    def __post_init__(self) -> None:
        if self.max is None and self.min is None:
            raise ValueError(f'limits.of = "{self.of}": give max, min or both')
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"limits.min = {self.min}: is above limits.max = {self.max}; nothing could satisfy it")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """Which strategy and its settings."""

    use: str = "nsga2"
    population: int = 12
    mutation_only: float = 0.3  # share of children that have one parent
    stratified: bool = False  # random samples spread evenly over the logarithm of parameters
    baselines: bool = True  # hand-made networks first, the same for every strategy
    in_flight: int | None = None  # trials proposed and not final; None: by the number of workers

    def __post_init__(self) -> None:
        if self.population < 4:
            raise ValueError(f"strategy.population = {self.population}: must be at least 4")
        if not 0 <= self.mutation_only <= 1:
            raise ValueError(f"strategy.mutation_only = {self.mutation_only}: must lie between 0 and 1")
        _positive("strategy", in_flight=self.in_flight)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpec:
    """What the study may spend; whichever comes first."""

    trials: int | None = None
    time_s: float | None = None

    def __post_init__(self) -> None:
        _positive("budget", trials=self.trials, time_s=self.time_s)
        if self.trials is None and self.time_s is None:
            raise ValueError('budget: give trials, time or both, for example trials = 60 or time = "4h"')


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """One study, whole."""

    name: str
    seed: int = 0
    data: DataSpec = field(default_factory=lambda: DataSpec(use="digits"))
    space: SpaceSpec = field(default_factory=SpaceSpec)
    model: ModelSpec = field(default_factory=ModelSpec)
    train: TrainSpec = field(default_factory=TrainSpec)
    measure: MeasureSpec = field(default_factory=MeasureSpec)
    evaluation: EvaluationSpec | None = None
    objectives: Mapping[str, ObjectiveSpec]
    limits: tuple[LimitSpec, ...] = ()
    strategy: StrategySpec = field(default_factory=StrategySpec)
    budget: BudgetSpec

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ValueError("objectives: name at least one, for example val_error = {}")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}: must not be negative")
        for name, spec in self.objectives.items():
            self._check_objective(name, spec)

    def _check_objective(self, name: str, spec: ObjectiveSpec) -> None:
        source = SOURCES.get(name)
        if source is None and not self.has_own_quantities:
            known = ", ".join(sorted(SOURCES))
            raise ValueError(
                f"objectives.{name}: no such quantity; known: {known}. "
                "Quantities of your own need [evaluation] run or train.metric"
            )
        if spec.on and source is not Source.MEASURED:
            raise ValueError(
                f"objectives.{name}.on = {list(spec.on)}: {name} does not depend on a device; leave `on` out"
            )

    @property
    def has_own_quantities(self) -> bool:
        """Whether a function of the user's gives quantities that have no name here."""
        return self.evaluation is not None or self.train.metric is not None

    def device_kinds(self) -> tuple[DeviceKind, ...]:
        """The kinds that have a front of their own, in order of mention; at least one."""
        kinds = [DeviceKind(kind) for spec in self.objectives.values() for kind in spec.on]
        return tuple(dict.fromkeys(kinds)) or (LOCAL,)

    def objectives_on(self, kind: DeviceKind) -> tuple[Objective, ...]:
        """The columns of `kind`'s front, in the study file's order."""
        return tuple(_objective(name, spec, kind, unit=self.unit_of(name)) for name, spec in self.objectives.items())

    def limits_on(self, kind: DeviceKind) -> tuple[Limit, ...]:
        """The hard limits that hold on `kind`."""
        return tuple(
            Limit(of=spec.of, maximum=spec.max, minimum=spec.min, device=DeviceKind(spec.on) if spec.on else None)
            for spec in self.limits
            if spec.on in (None, kind)
        )

    def counted_limits(self) -> tuple[Limit, ...]:
        """The hard limits on counts, which hold on every kind."""
        return tuple(
            Limit(of=spec.of, maximum=spec.max, minimum=spec.min)
            for spec in self.limits
            if SOURCES.get(spec.of) is Source.COUNTED
        )

    def quantities(self) -> tuple[str, ...]:
        """What objectives and limits speak of, each once."""
        return tuple(dict.fromkeys((*self.objectives, *(limit.of for limit in self.limits))))

    def unit_of(self, name: str) -> str:
        """The unit of a quantity: the study file's, else nasd's own; empty where neither says one."""
        objective = self.objectives.get(name)
        return (objective.unit if objective else None) or unit_of(name, task=self.train.task)

    @property
    def is_counted_ahead(self) -> bool:
        """Whether the space knows parameters and FLOPs before anything is built; not of a module of the user's own."""
        return self.model.build is None and self.space.kind != "custom"

    def stages(self) -> tuple[Stage, ...]:
        """The stages each trial needs, cheap ones first."""
        if self.evaluation is not None:
            return (Stage.RUN,)
        wanted = {
            SOURCES.get(name, Source.TRAINED) for name in self.quantities()
        }  # what has no name here is train.metric's
        stages = (Stage.MEASURE,) if Source.MEASURED in wanted else ()
        return (*stages, Stage.TRAIN) if Source.TRAINED in wanted or not stages else stages


def _objective(name: str, spec: ObjectiveSpec, kind: DeviceKind, *, unit: str) -> Objective:
    source = SOURCES.get(name, Source.REPORTED)
    return Objective(
        name=name,
        unit=unit,
        source=source,
        sign=-1 if spec.direction is Direction.MAX else 1,
        device=kind if source is Source.MEASURED else None,
        is_log=source in (Source.COUNTED, Source.MEASURED),
    )
