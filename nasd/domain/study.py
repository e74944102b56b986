"""The study file as a value: everything a study is, validated. `nasd.studyfile` reads it from TOML.

Unknown keys are refused by the reader; relations between fields are checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from nasd.domain.devices import DeviceSpec
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import Stage, unit_of
from nasd.domain.objective import P95, SOURCES, Limit, Objective, Source
from nasd.domain.study_search import (
    BudgetSpec,
    Direction,
    LimitSpec,
    ObjectiveSpec,
    ParameterSpec,
    RangeSpec,
    RewardTerm,
    Role,
    Scalar,
    ScalarSpec,
    Scope,
    SpaceSpec,
    Statistic,
    StrategySpec,
    WarmStartSpec,
)
from nasd.domain.study_training import (
    Compile,
    DataSpec,
    EvaluationSpec,
    MeasureSpec,
    ModelSpec,
    Optimiser,
    Precision,
    TrainSpec,
)

__all__ = [
    "BudgetSpec",
    "Compile",
    "DataSpec",
    "DeviceSpec",
    "Direction",
    "EvaluationSpec",
    "LimitSpec",
    "MeasureSpec",
    "ModelSpec",
    "ObjectiveSpec",
    "Optimiser",
    "ParameterSpec",
    "Precision",
    "RangeSpec",
    "RewardTerm",
    "Role",
    "Scalar",
    "ScalarSpec",
    "SpaceSpec",
    "StrategySpec",
    "StudySpec",
    "TrainSpec",
    "WarmStartSpec",
]


SCALAR = "scalar"  # the one column that a strategy sees of a scalarised study


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
    devices: Mapping[str, DeviceSpec] = field(default_factory=dict)
    evaluation: EvaluationSpec | None = None
    objectives: Mapping[str, ObjectiveSpec]
    limits: tuple[LimitSpec, ...] = ()
    scalar: Mapping[str, ScalarSpec] = field(default_factory=dict)
    preference: Mapping[str, RangeSpec] = field(default_factory=dict)
    warm_start: WarmStartSpec | None = None
    strategy: StrategySpec = field(default_factory=StrategySpec)
    budget: BudgetSpec

    def __post_init__(self) -> None:
        if not self.objectives:
            raise ValueError("objectives: name at least one, for example val_error = {}")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}: must not be negative")
        for name, spec in self.objectives.items():
            self._check_objective(name, spec)
        for name, scalar in self.scalar.items():
            self._check_scalar(name, scalar)
        for name, wanted in self.preference.items():
            self._check_preference(name, wanted)
        self._check_reward()
        self._check_devices()
        if self.warm_start is not None and self.warm_start.study == self.name:
            raise ValueError(f'warm_start.study = "{self.name}": is this study itself. Name another one')

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

    def _check_scalar(self, name: str, spec: ScalarSpec) -> None:
        self._require_objective("scalar", name)
        if SCALAR in self.objectives:
            raise ValueError(f"objectives.{SCALAR}: is the name of the figure that [scalar] makes. Rename yours")
        if spec.at is None and spec.weight and SOURCES.get(name) in (Source.COUNTED, Source.MEASURED):
            example = f"{name} = {{ weight = {spec.weight:g}, at = 1000 }}"
            raise ValueError(f"scalar.{name}: spans decades, so that its logarithm is taken. Say where: {example}")
        rest = {each: other.weight for each, other in self.scalar.items()}
        if not any(rest.values()) and not ("val_error" in self.objectives and "val_error" not in rest):
            raise ValueError(f"scalar.{name}.weight = 0: leaves nothing to search by. Give a weight above 0")

    def _check_reward(self) -> None:
        reward = self.strategy.reward
        for name in reward:
            self._require_objective("strategy.reward", name)
        if reward and all(name in reward for name in self.objectives):
            first = next(iter(reward))
            raise ValueError(f"strategy.reward.{first}: leaves no objective that terms are taken from. Remove one term")
        if reward and self.scalar:
            raise ValueError("strategy.reward: means nothing beside [scalar], one figure already. Remove one of them")

    def _check_preference(self, name: str, spec: RangeSpec) -> None:
        self._require_objective("preference", name)
        is_maximised = self.objectives[name].direction is Direction.MAX
        if spec.best is None or spec.worst is None:
            return
        if not (spec.best > spec.worst if is_maximised else spec.best < spec.worst):
            order = "above" if is_maximised else "below"
            raise ValueError(f"preference.{name}.best = {spec.best:g}: must lie {order} worst = {spec.worst:g}")

    def _check_devices(self) -> None:
        kinds = self.device_kinds()
        for kind in self.devices:
            if kind not in kinds:
                known = ", ".join(kinds)
                raise ValueError(
                    f"devices.{kind}: no objective is measured on it; this study measures on {known}. "
                    f'Add it to an objective, for example latency_ms = {{ on = ["{kind}"] }}'
                )

    def _require_objective(self, table: str, name: str) -> None:
        if name not in self.objectives:
            known = ", ".join(self.objectives)
            raise ValueError(f"{table}.{name}: is no objective of this study; it has {known}. Use one of them")

    @property
    def has_own_quantities(self) -> bool:
        """Whether a function of the user's gives quantities that have no name here."""
        return self.evaluation is not None or self.train.metric is not None

    def device_kinds(self) -> tuple[DeviceKind, ...]:
        """The kinds that have a front of their own, in order of mention; at least one."""
        kinds = [DeviceKind(kind) for spec in self.objectives.values() for kind in spec.on]
        return tuple(dict.fromkeys(kinds)) or (LOCAL,)

    def device_on(self, kind: DeviceKind) -> DeviceSpec:
        """What runs a network on `kind`, with [measure]'s threads and batch where its own table gives none."""
        device = self.devices.get(kind, DeviceSpec())
        return replace(device, threads=device.threads or self.measure.threads, batch=device.batch or self.measure.batch)

    def objectives_on(self, kind: DeviceKind) -> tuple[Objective, ...]:
        """The columns of `kind`'s front, in the study file's order."""
        return tuple(
            _objective(name, spec, kind, unit=self.unit_of(name))
            for name, spec in self.objectives.items()
            if not spec.on or kind in spec.on
        )

    def limits_on(self, kind: DeviceKind) -> tuple[Limit, ...]:
        """The hard limits that hold on `kind`, those of scope "device" too."""
        return tuple(_limit(spec) for spec in self.limits if spec.on in (None, kind))

    def limits_of_trials(self, kind: DeviceKind) -> tuple[Limit, ...]:
        """Those that make a whole trial infeasible where they are broken on `kind`."""
        return tuple(_limit(spec) for spec in self.limits if spec.on in (None, kind) and spec.scope is Scope.TRIAL)

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
        stages: tuple[Stage, ...] = (Stage.MEASURE,) if Source.MEASURED in wanted else ()
        if stages and any(self.device_on(kind).needs_artifact for kind in self.device_kinds()):
            stages = (Stage.EXPORT, *stages)
        return (*stages, Stage.TRAIN) if Source.TRAINED in wanted or not stages else stages


def _limit(spec: LimitSpec) -> Limit:
    of = P95 if spec.statistic is Statistic.P95 else spec.of
    return Limit(of=of, maximum=spec.max, minimum=spec.min, device=DeviceKind(spec.on) if spec.on else None)


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
