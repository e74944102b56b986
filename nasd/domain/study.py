"""The study file as a value: everything a study is, validated. `nasd.studyfile` reads it from TOML.

Unknown keys are refused by the reader; relations between fields are checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import UNITS, Stage
from nasd.domain.objective import SOURCES, Limit, Objective, Source


def _positive(owner: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{owner}.{name} = {value}: must be greater than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """Which data set; splits are fixed by `seed` and recorded with a hash."""

    use: str = "digits"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"data.seed = {self.seed}: must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSpec:
    """Which search space, and where it is narrowed: `params` maps a choice's name to the options kept."""

    kind: str = "mlp"
    params: Mapping[str, tuple[int | float | str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """The recipe: the same optimiser steps for every architecture."""

    steps: int = 300
    batch: int = 128
    lr: float = 3e-3
    weight_decay: float = 0.01
    warmup: float = 0.1  # the share of `steps` in which the learning rate rises
    time_limit_s: float | None = None  # of one evaluation

    def __post_init__(self) -> None:
        _positive("train", steps=self.steps, batch=self.batch, lr=self.lr, time_limit_s=self.time_limit_s)
        if not 0 <= self.warmup < 1:
            raise ValueError(f"train.warmup = {self.warmup}: must be at least 0 and below 1")
        if self.weight_decay < 0:
            raise ValueError(f"train.weight_decay = {self.weight_decay}: must not be negative")


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
        module, colon, function = self.run.partition(":")
        if not (colon and function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
            raise ValueError(f'evaluation.run = "{self.run}": write it as "package.module:function"')


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
    data: DataSpec = field(default_factory=DataSpec)
    space: SpaceSpec = field(default_factory=SpaceSpec)
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
        if source is None and self.evaluation is None:
            known = ", ".join(sorted(SOURCES))
            raise ValueError(
                f"objectives.{name}: no such quantity; known: {known}. Quantities of your own need [evaluation] run"
            )
        if spec.on and source is not Source.MEASURED:
            raise ValueError(
                f"objectives.{name}.on = {list(spec.on)}: {name} does not depend on a device; leave `on` out"
            )

    def device_kinds(self) -> tuple[DeviceKind, ...]:
        """The kinds that have a front of their own, in order of mention; at least one."""
        kinds = [DeviceKind(kind) for spec in self.objectives.values() for kind in spec.on]
        return tuple(dict.fromkeys(kinds)) or (LOCAL,)

    def objectives_on(self, kind: DeviceKind) -> tuple[Objective, ...]:
        """The columns of `kind`'s front, in the study file's order."""
        return tuple(_objective(name, spec, kind) for name, spec in self.objectives.items())

    def limits_on(self, kind: DeviceKind) -> tuple[Limit, ...]:
        """The hard limits that hold on `kind`."""
        return tuple(
            Limit(of=spec.of, maximum=spec.max, minimum=spec.min, device=DeviceKind(spec.on) if spec.on else None)
            for spec in self.limits
            if spec.on in (None, kind)
        )

    def stages(self) -> tuple[Stage, ...]:
        """The stages each trial needs, cheap ones first."""
        if self.evaluation is not None:
            return (Stage.RUN,)
        wanted = {SOURCES.get(name) for name in (*self.objectives, *(limit.of for limit in self.limits))}
        stages = (Stage.MEASURE,) if Source.MEASURED in wanted else ()
        return (*stages, Stage.TRAIN) if Source.TRAINED in wanted or not stages else stages


def _objective(name: str, spec: ObjectiveSpec, kind: DeviceKind) -> Objective:
    source = SOURCES.get(name, Source.REPORTED)
    return Objective(
        name=name,
        unit=spec.unit or UNITS.get(name, ""),
        source=source,
        sign=-1 if spec.direction is Direction.MAX else 1,
        device=kind if source is Source.MEASURED else None,
        is_log=source in (Source.COUNTED, Source.MEASURED),
    )
