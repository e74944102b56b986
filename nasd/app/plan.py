"""What a study will take, computed from its space and a few timed networks. Pure; `nasd.app.timing` does the timing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from nasd.controller.admission import stage_kinds
from nasd.domain.architecture import Architecture
from nasd.domain.devices import DevicePrecision, Runtime
from nasd.domain.ids import ANYWHERE, DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.objective import SOURCES, Source
from nasd.domain.space import SearchSpace
from nasd.domain.study import StudySpec

TRIALS_PER_DECISION = 5  # below it a search can hardly tell which choice mattered
_SAMPLES = 300
_PATIENCE = 60  # mutations without a better one before an extreme counts as found
_PARAMETER_OF: Mapping[str, str] = {"widths": "width"}  # gene -> key of [space.params] where the two differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One network that was built and stepped.

    Attributes:
        train_s, measure_s: of a whole evaluation, extrapolated; 0.0 where the study has no such stage.
        problem: why it can't be evaluated here; its seconds are 0.0 then.
    """

    name: str
    params: int
    step_ms: float = 0.0
    train_s: float = 0.0
    measure_s: float = 0.0
    problem: str | None = None

    @property
    def trial_s(self) -> float:
        return self.train_s + self.measure_s


@dataclass(frozen=True, slots=True, kw_only=True)
class StageNeed:
    """One stage of every trial and what it takes."""

    stage: Stage
    on: tuple[str, ...]
    gives: tuple[str, ...]
    takes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """A range: if all trials were the smallest, like the random ones, or the largest."""

    least: float
    likely: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A simulated study on a fleet.

    Attributes:
        speeds: one worker each, 1 being the machine that timed the networks.
        trials: how many the budget allows.
        wall_s: until the last result.
        utilisation: of the fleet.
        searched_by: the strategy that was simulated: what a quick one proposes stands in for the study's own.
    """

    speeds: tuple[float, ...]
    trials: int
    wall_s: float
    utilisation: float
    searched_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Which strategy should be ahead, by rule and not by measurement of this study; `strategy` None: none."""

    strategy: str | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `nasd plan` says.

    Attributes:
        space_size: how many architectures there are; at most so many where `is_size_exact` is false.
        recipe_parameters: searched training settings; every setting of them counts in `space_size`.
        decisions: independent choices of the largest network, by gene.
        trials: how many there will be; a range where only time bounds the study. None where nothing could be timed.
        wall_s: if every trial were alike; None where nothing could be timed.
        foreseen: by simulation; None where nothing could be timed.
        unavailable: what this machine lacks that the study needs.
        is_scalar: [scalar] makes one figure of the objectives, which is searched by.
    """

    study: str
    space: str
    space_size: int
    is_size_exact: bool
    recipe_parameters: tuple[str, ...]
    decisions: Mapping[str, int]
    objectives: tuple[str, ...]
    is_scalar: bool
    limits: tuple[str, ...]
    stages: tuple[StageNeed, ...]
    workers: int
    timings: tuple[Timing, ...]
    trials: Spend | None
    wall_s: Spend | None
    foreseen: Foreseen | None
    expected: Expected
    unavailable: tuple[str, ...]
    warnings: tuple[str, ...]


def decisions(space: SearchSpace, rng: np.random.Generator) -> dict[str, int]:
    """How many independent choices each gene stands for; a gene with one value per layer counts each layer.

    Found by sampling, so that it holds for any space; what never varies is no decision.
    """
    seen: dict[tuple[str, int], set[object]] = {}
    for _ in range(_SAMPLES):
        for gene, value in space.sample(rng).genes:
            for place, option in enumerate(value if isinstance(value, tuple) else (value,)):
                if option is not None:  # it doesn't exist there
                    seen.setdefault((gene, place), set()).add(option)
    counts: dict[str, int] = {}
    for (gene, _place), options in seen.items():
        counts[gene] = counts.get(gene, 0) + (len(options) > 1)
    return {gene: count for gene, count in counts.items() if count}


def extremes(space: SearchSpace, rng: np.random.Generator) -> tuple[Architecture, Architecture]:
    """The networks with the fewest and the most parameters, as far as sampling and climbing by mutation find them."""
    sampled = sorted((space.sample(rng) for _ in range(_SAMPLES)), key=lambda each: space.counts(each)["params"])
    return _climbed(space, sampled[0], -1, rng), _climbed(space, sampled[-1], 1, rng)


def _climbed(space: SearchSpace, start: Architecture, sign: int, rng: np.random.Generator) -> Architecture:
    best, since = start, 0
    while since < _PATIENCE and space.size > 1:
        other = space.mutate(best, rng)
        since += 1
        if sign * space.counts(other)["params"] > sign * space.counts(best)["params"]:
            best, since = other, 0
    return best


def stage_needs(spec: StudySpec, *, device: str, n_train: int) -> tuple[StageNeed, ...]:
    """The stages of each trial in the order in which they run; a measurement for each device kind.

    Args:
        device: that training uses here ("cpu").
        n_train: samples in the training split.
    """
    return tuple(
        StageNeed(
            stage=stage,
            on=(kind,),
            gives=tuple(dict.fromkeys(name for name in _quantities(spec, kind) if _gives(spec, stage, name))),
            takes=_takes(spec, stage, kind, device=device, n_train=n_train),
        )
        for stage, kind in stage_kinds(spec)
    )


def _quantities(spec: StudySpec, kind: DeviceKind) -> tuple[str, ...]:
    """What objectives and limits speak of on `kind`; where any device may do the stage, on all."""
    if kind == ANYWHERE:
        return spec.quantities()
    on_kind = {each.name for each in spec.objectives_on(kind)} | {
        limit.of for limit in spec.limits if limit.on in (None, kind)
    }
    return tuple(name for name in spec.quantities() if name in on_kind)


def _takes(spec: StudySpec, stage: Stage, kind: DeviceKind, *, device: str, n_train: int) -> str:
    train, measure = spec.train, spec.measure
    match stage:
        case Stage.TRAIN:
            needs = f", by a worker with {' and '.join(train.needs)}" if train.needs else ""
            return f"{train.steps} steps of {min(train.batch, n_train)} of {n_train:,} samples, on {device}{needs}"
        case Stage.EXPORT:
            formats = dict.fromkeys(spec.device_on(each).artifact for each in spec.device_kinds())
            return f"untrained weights to {', '.join(each for each in formats if each)}"
        case Stage.MEASURE:
            on = spec.device_on(kind)
            how = (
                f"{on.offer}, {on.precision}, "
                if on.offer != Runtime.EAGER or on.precision != DevicePrecision.FP32
                else ""
            )
            windows = f"{measure.windows} windows of {measure.window_s * 1000:g} ms"
            return f"{windows}, {how}batch {on.batch}, threads {on.threads}"
        case Stage.RUN:
            return f"your function {spec.evaluation.run if spec.evaluation else ''}"


def _gives(spec: StudySpec, stage: Stage, name: str) -> bool:
    source = SOURCES.get(name, Source.TRAINED)
    if source is Source.COUNTED:  # of the built module, by the stage that builds it first, where not ahead of all
        first = next(each for each in spec.stages() if each is not Stage.EXPORT)
        return not spec.is_counted_ahead and stage is first
    of = {Stage.MEASURE: Source.MEASURED, Stage.TRAIN: Source.TRAINED}
    return stage is Stage.RUN or source is of.get(stage)


def spend(spec: StudySpec, timings: Sequence[Timing], *, workers: float) -> tuple[Spend | None, Spend | None]:
    """(trials, wall seconds), each from the fewest to the most; None, None where nothing was timed.

    Args:
        timings: the smallest first, the largest second, random ones after.
        workers: that evaluate side by side: the sum of their speeds.
    """
    per_trial = [timing.trial_s for timing in timings if timing.problem is None]
    if not per_trial or min(per_trial) <= 0:
        return (None if spec.budget.trials is None else _same(spec.budget.trials)), None
    random = [timing.trial_s for timing in timings[2:] if timing.problem is None] or per_trial
    fast, likely, slow = (seconds / workers for seconds in (min(per_trial), fmean(random), max(per_trial)))
    trials, time_s = spec.budget.trials, spec.budget.time_s
    if time_s is None:
        assert trials is not None
        return _same(trials), Spend(least=trials * fast, likely=trials * likely, most=trials * slow)
    within = [max(1, int(time_s / seconds)) for seconds in (slow, likely, fast)]
    if trials is not None:
        within = [min(trials, n) for n in within]
        wall = [min(time_s, trials * seconds) for seconds in (fast, likely, slow)]
    else:
        wall = [time_s] * 3
    return Spend(least=within[0], likely=within[1], most=within[2]), Spend(least=wall[0], likely=wall[1], most=wall[2])


def _same(value: float) -> Spend:
    return Spend(least=value, likely=value, most=value)


def warnings(
    spec: StudySpec, *, by_gene: Mapping[str, int], trials: Spend | None, space_size: int, timings: Sequence[Timing]
) -> tuple[str, ...]:
    """What the user should mend before spending anything, gravest first."""
    found = list(_problems(timings))
    limit_s = spec.train.time_limit_s
    slow = [timing for timing in timings if limit_s is not None and timing.train_s > limit_s]
    found += [f"{each.name} would train {each.train_s:.0f} s, over train.time_limit; raise it" for each in slow]
    n_decisions = sum(by_gene.values())
    if trials is not None and n_decisions and trials.likely < min(TRIALS_PER_DECISION * n_decisions, space_size):
        found.append(_too_few(by_gene, n_decisions, trials.likely))
    if trials is not None and trials.likely > space_size:
        found.append(f"the space has only {_networks(space_size)}; the study ends when all are tried")
    return tuple(found)


def _problems(timings: Sequence[Timing]) -> Iterator[str]:
    """Each once, with the networks that have it."""
    names: dict[str, list[str]] = {}
    for timing in timings:
        if timing.problem is not None:
            size = f" ({timing.params:,} parameters)" if timing.params else ""
            names.setdefault(timing.problem, []).append(timing.name + size)
    for problem, having in names.items():
        yield f"{'all' if len(having) == len(timings) > 1 else ', '.join(having)}: {problem}"


def _networks(n: int) -> str:
    return f"{n:,} network{'' if n == 1 else 's'}"


def _too_few(by_gene: Mapping[str, int], n_decisions: int, trials: float) -> str:
    gene, most = max(by_gene.items(), key=lambda item: item[1])
    key = _PARAMETER_OF.get(gene, gene)
    wanted = TRIALS_PER_DECISION * n_decisions
    rest = TRIALS_PER_DECISION * (n_decisions - most)
    narrower = (
        f"fix space.params.{key} first ({most} of the {n_decisions} decisions; one option left there asks for "
        f"{max(rest, 1)} trials)"
        if most > 1
        else f"leave one option of some parameters of [space.params] (each then asks for {TRIALS_PER_DECISION} less)"
    )
    return (
        f"{trials / n_decisions:.1f} trials per decision ({trials:.0f} trials, {n_decisions} "
        f"decision{'' if n_decisions == 1 else 's'}) is below {TRIALS_PER_DECISION}: {narrower}, "
        f"or set budget.trials = {wanted}"
    )
