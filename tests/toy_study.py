"""A study over the toy space whose evaluations are arithmetic: the same architecture always gives the same values."""

from __future__ import annotations

from toy_space import ToySpace

from nasd.controller.kinds import kinds_of
from nasd.controller.mind import Parts
from nasd.controller.strategy import build_strategy
from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts
from nasd.domain.ids import LOCAL, DeviceKind, StudyId
from nasd.domain.measurement import Stage
from nasd.domain.objective import value_name
from nasd.domain.seeding import seed_of
from nasd.domain.study import BudgetSpec, LimitSpec, MeasureSpec, ObjectiveSpec, StrategySpec, StudySpec
from nasd.ports.trials import Study, StudyState
from nasd.strategies.base import Costs, nothing_known

DATA = DataFacts(
    name="toy",
    seed=0,
    input_shape=(16,),
    n_outputs=10,
    n_train=10,
    n_validation=10,
    n_test=10,
    trivial_error=0.9,
)


class BoundedToySpace(ToySpace):
    """The toy space that knows its extremes, so that no test searches for them."""

    def extremes(self) -> dict[str, tuple[float, float]]:
        return {"params": (136, 400_000), "flops": (272, 3_200_000)}


SPACE = BoundedToySpace()
BASELINES = tuple(
    (name, SPACE.canonical({"kind": "dense", "width": [width] * 2, "skip": False}))
    for name, width in (("small", 8), ("medium", 32), ("large", 128))
)


def toy_spec(
    *,
    trials: int | None = 20,
    time_s: float | None = None,
    in_flight: int | None = 3,
    rounds: int = 1,
    max_params: float | None = None,
    use: str = "nsga2",
    baselines: bool = True,
    seed: int = 0,
    name: str = "toy",
    kinds: tuple[str, ...] = (),
    limits: tuple[LimitSpec, ...] = (),
    **measure: object,
) -> StudySpec:
    """`kinds`: that latency is measured on; `measure`: of [measure]."""
    latency = ObjectiveSpec(on=kinds)
    return StudySpec(
        name=name,
        seed=seed,
        objectives={"val_error": ObjectiveSpec(), "latency_ms": latency, "params": ObjectiveSpec()},
        limits=limits if max_params is None else (LimitSpec(of="params", max=max_params), *limits),
        measure=MeasureSpec(rounds=rounds, **measure),
        strategy=StrategySpec(use=use, population=6, in_flight=in_flight, baselines=baselines),
        budget=BudgetSpec(trials=trials, time_s=time_s),
    )


def toy_study(spec: StudySpec, *, id_: int = 1, state: StudyState = StudyState.RUNNING) -> Study:
    return Study(id=StudyId(id_), name=spec.name, spec=spec, data=DATA, state=state)


def toy_parts(
    study: Study,
    *,
    space: ToySpace = SPACE,
    declared: Costs = nothing_known,
    warm_starts: tuple[Architecture, ...] = (),
) -> Parts:
    spec, kinds = study.spec, kinds_of(study.spec, study.joined)
    return Parts(
        study=study.id,
        spec=spec,
        space=space,
        kinds=kinds,
        strategy=build_strategy(spec, space, kinds=kinds, counts=space.counts, declared=declared),
        baselines=BASELINES if spec.strategy.baselines else (),
        warm_starts=warm_starts,
        declared=declared,
        data=study.data,
    )


def toy_values(
    architecture: Architecture, stage: Stage, *, round_: int = 1, kind: DeviceKind = LOCAL
) -> dict[str, float]:
    """What a device would measure; each round another latency, and each kind ranks networks its own way."""
    noise = seed_of(architecture.key, stage.value, round_) / 2**63
    params = SPACE.counts(architecture)["params"]
    if stage is Stage.MEASURE:
        own = 0.0 if kind == LOCAL else seed_of(architecture.key, kind) / 2**63
        return {value_name("latency_ms", kind): round(0.1 + params / 1e4 * (1 + 0.1 * noise + 3 * own), 4)}
    return {"val_error": round(1 / (1 + params**0.25) + 0.1 * noise, 3)}
