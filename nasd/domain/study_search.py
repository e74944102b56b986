"""The tables of a study file that say what is searched, for what, how and how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from nasd.domain.study_checks import not_negative, positive


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


class Statistic(StrEnum):
    """Which figure of a measurement a limit speaks of."""

    VALUE = "value"
    P95 = "p95"


class Scope(StrEnum):
    """What a broken limit makes infeasible."""

    TRIAL = "trial"
    DEVICE = "device"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSpec:
    """One `[[limits]]` entry.

    Attributes:
        on: the device kind it holds on; None: on every one.
        statistic: what is limited: the value that is searched by, or the p95 of a sustained run.
        sustained_s: how long that run is; None: 60 s.
        scope: what breaks with it: the trial, or its place on that device's front alone.
    """

    of: str
    max: float | None = None
    min: float | None = None
    on: str | None = None
    statistic: Statistic = Statistic.VALUE
    sustained_s: float | None = None
    scope: Scope = Scope.TRIAL

    def __post_init__(self) -> None:
        positive("limits", sustained_s=self.sustained_s)
        if self.statistic is Statistic.P95 and (self.of != "latency_ms" or self.max is None or self.min is not None):
            raise ValueError('limits.statistic = "p95": is for latency_ms and a max alone')
        if self.sustained_s is not None and self.statistic is not Statistic.P95:
            raise ValueError('limits.sustained: means nothing without statistic = "p95". Add it')
        if self.max is None and self.min is None:
            raise ValueError(f'limits.of = "{self.of}": give max, min or both')
        if self.max is not None and self.min is not None and self.min > self.max:
            raise ValueError(f"limits.min = {self.min}: is above limits.max = {self.max}; nothing could satisfy it")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarSpec:
    """How one objective enters the single figure that a scalarised study is searched by.

    Attributes:
        weight: 0 leaves it out.
        at: where its logarithm counts as 0; None: it enters as it is.
    """

    weight: float = 1.0
    at: float | None = None

    def __post_init__(self) -> None:
        not_negative("scalar", weight=self.weight)
        positive("scalar", at=self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeSpec:
    """Which values of an objective are wanted: from `best` to `worst`, either may be left open."""

    best: float | None = None
    worst: float | None = None

    def __post_init__(self) -> None:
        if self.best is None and self.worst is None:
            raise ValueError("preference: give worst, or best and worst, for example { worst = 0.2 }")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStartSpec:
    """Architectures that are proposed right after the baselines.

    Attributes:
        architectures: a file of genes: a JSON list, or one object a line.
        study: another study, of which the best are taken over.
        most: that many of `study` at most.
        found: what the two gave when the study was created, as `Architecture.json`. No key of a study file: rows alone
            must bring the same proposals back.
    """

    architectures: str | None = None
    study: str | None = None
    most: int = 20
    found: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive("warm_start", most=self.most)
        if self.architectures is None and self.study is None:
            raise ValueError('warm_start: give architectures, study or both, for example architectures = "list.json"')


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTerm:
    """How much one objective lowers the reward of `reinforce`: `weight` times its value relative to `at`."""

    weight: float = 1.0
    at: float = 1.0

    def __post_init__(self) -> None:
        not_negative("strategy", weight=self.weight)
        positive("strategy", at=self.at)


_POPULATION = 12
_POPULATIONS: Mapping[str, int] = {"aging-evolution": 30}  # it forgets its best ones, so it needs more


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """Which strategy and its settings.

    Attributes:
        population: None becomes the strategy's own: what did best at 100 trials.
        sample: members of an aging population of which the best has a child; None: a third of the population.
        reward: by objective; empty: each objective on the range of what was seen of it.
    """

    use: str = "screened"
    population: int | None = None
    mutation_only: float = 0.3  # share of children that have one parent
    sample: int | None = None
    reward: Mapping[str, RewardTerm] = field(default_factory=dict)
    stratified: bool = False  # random samples spread evenly over the logarithm of parameters
    baselines: bool = True  # hand-made networks first, the same for every strategy
    in_flight: int | None = None  # trials proposed and not final; None: by the number of workers

    def __post_init__(self) -> None:
        if self.population is None:
            object.__setattr__(self, "population", _POPULATIONS.get(self.use, _POPULATION))
        if self.n_members < 4:
            raise ValueError(f"strategy.population = {self.n_members}: must be at least 4")
        if self.sample is not None and not 2 <= self.sample <= self.n_members:
            raise ValueError(
                f"strategy.sample = {self.sample}: must lie between 2 and strategy.population = {self.n_members}"
            )
        if not 0 <= self.mutation_only <= 1:
            raise ValueError(f"strategy.mutation_only = {self.mutation_only}: must lie between 0 and 1")
        positive("strategy", in_flight=self.in_flight)

    @property
    def n_members(self) -> int:
        """The population, as given or as is the strategy's own."""
        return self.population or _POPULATION

    def switched(self, use: str) -> StrategySpec:
        """These settings under another strategy, with that one's own population."""
        return self if use == self.use else replace(self, use=use, population=None, sample=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpec:
    """What the study may spend; whichever comes first."""

    trials: int | None = None
    time_s: float | None = None

    def __post_init__(self) -> None:
        positive("budget", trials=self.trials, time_s=self.time_s)
        if self.trials is None and self.time_s is None:
            raise ValueError('budget: give trials, time or both, for example trials = 60 or time = "4h"')
