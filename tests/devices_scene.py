"""A study over three device kinds, made through the real stores: some trials are not measured everywhere."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from database import Scene

from nasd.domain.architecture import Architecture
from nasd.domain.history import Fact, Proposal
from nasd.domain.ids import ANYWHERE, DeviceKind, LearnedSeq, StudyId, TrialNumber
from nasd.domain.measurement import Measurement, Outcome, OutcomeKind, Stage
from nasd.domain.objective import value_name
from nasd.domain.pareto import Front
from nasd.domain.study import BudgetSpec, DeviceSpec, ObjectiveSpec, StudySpec
from nasd.ports.lease import WorkerInfo
from nasd.ports.trials import FrontChange, NewEvaluation, NewTrial, Step

KINDS = ("local", "pi5", "orin")
NAME = "kitchen"
Values = Mapping[str, float]  # val_error, params, and a latency by kind


def spec(name: str = NAME, kinds: tuple[str, ...] = KINDS) -> StudySpec:
    return StudySpec(
        name=name,
        objectives={
            "val_error": ObjectiveSpec(),
            "latency_ms": ObjectiveSpec(on=kinds),
            "params": ObjectiveSpec(),
        },
        devices={kind: DeviceSpec(batch=8 * place) for place, kind in enumerate(kinds) if place},
        budget=BudgetSpec(trials=200),
    )


def random_values(n: int, *, seed: int = 7, missing: float = 0.2) -> list[dict[str, float]]:
    """Trials whose latencies rank differently on each kind; some kinds did not measure some of them."""
    rng = np.random.default_rng(seed)
    trials = []
    for _ in range(n):
        size = rng.uniform(0, 1)
        values = {"val_error": round(0.3 - 0.2 * size + rng.uniform(0, 0.1), 4), "params": float(100 + int(900 * size))}
        for weight, kind in zip((0.9, 0.4, 0.1), KINDS, strict=True):
            if rng.uniform() >= missing:
                values[kind] = round(1 + weight * size + rng.uniform(0, 1 - weight), 4)
        trials.append(values)
    return trials


class DeviceScene:
    """Plays worker and leader for a study over `kinds`."""

    def __init__(self, scene: Scene, trials: list[dict[str, float]], *, kinds: tuple[str, ...] = KINDS) -> None:
        self.scene, self.values, self.kinds = scene, trials, kinds
        self.study = scene.studies.create(spec(kinds=kinds), None)
        self._propose()
        for kind in kinds:
            self._measure(kind)
        self._learn()

    def latency_key(self, kind: str) -> str:
        return value_name("latency_ms", DeviceKind(kind))

    def _propose(self) -> None:
        measure = tuple(
            NewEvaluation(stage=Stage.MEASURE, device_kind=DeviceKind(kind), priority=1) for kind in self.kinds
        )
        train = (NewEvaluation(stage=Stage.TRAIN, device_kind=ANYWHERE, priority=0),)
        trials = tuple(
            NewTrial(
                number=TrialNumber(number),
                proposal=Proposal(
                    architecture=Architecture.of("mlp", {"layers": 1, "widths": [number]}),
                    operator="sample" if number else "baseline",
                    notes={} if number else {"name": "medium"},
                ),
                proposed_from=LearnedSeq(0),
                strategy="random",
                strategy_version="random-1",
                fidelity=10,
                seed=number,
                counts={"params": int(values["params"]), "flops": int(2 * values["params"])},
                evaluations=tuple(each for each in measure if each.device_kind in values) + train,
            )
            for number, values in enumerate(self.values)
        )
        self.scene.trials.apply(self.scene.epoch, Step(study=StudyId(self.study), trials=trials))

    def _measure(self, kind: str) -> None:
        """A worker of that kind does all that it may; the first one trains everything too."""
        info = WorkerInfo(
            name=f"worker-{kind}", host=kind, device_kind=DeviceKind(kind), stages=tuple(Stage), offers=("torch-eager",)
        )
        worker = self.scene.leases.register(info)
        while (lease := self.scene.leases.lease_next(worker)) is not None:
            values = self.values[lease.trial_number]
            if lease.stage is Stage.MEASURE:
                found = Measurement("latency_ms", values[kind], "ms", spread=0.02, n=50, conditions={"batch": 1})
            else:
                found = Measurement("val_error", values["val_error"], "fraction", spread=0.01, n=400)
            self.scene.leases.finish(lease, Outcome(OutcomeKind.COMPLETED, (found,)))

    def _learn(self) -> None:
        """As the leader does: a fact for each trial; what it may enter of each kind's front."""
        fronts = {kind: Front(3) for kind in self.kinds}
        finished = self.scene.trials.finished(self.study, len(self.values))
        assert len(finished) == len(self.values)
        facts, changes = [], []
        for seq, each in enumerate(finished, 1):
            facts.append(Fact(LearnedSeq(seq), each.kind, each.number, each.state, each.values, each.violation))
            for kind, front in fronts.items():
                names = ("val_error", self.latency_key(kind), "params")
                if not all(name in each.values for name in names):
                    continue
                done = front.insert(each.number, [each.values[name] for name in names])
                if done.entered:
                    left = dict.fromkeys(done.left, "dominated")
                    changes.append(
                        FrontChange(
                            DeviceKind(kind), LearnedSeq(seq), (each.number,), left, hypervolume=None, size=len(front)
                        )
                    )
        ids = tuple(each.trial_id for each in finished)
        self.scene.trials.apply(
            self.scene.epoch,
            Step(study=StudyId(self.study), facts=tuple(facts), trial_ids=ids, front=tuple(changes), used_s=1.0),
        )


def brute_force(rows: Mapping[int, tuple[float, ...]]) -> set[int]:
    """Members of the front over these losses, by its definition."""
    return {
        trial
        for trial, losses in rows.items()
        if not any(
            all(a <= b for a, b in zip(other, losses, strict=True)) and other != losses for other in rows.values()
        )
    }


def raw_losses(scene: Scene, kind: str) -> dict[int, tuple[float, ...]]:
    """(val_error, latency, params) of trials from the rows that workers wrote, without any view or derived value."""
    rows = scene.database.rows(
        """
        select t.number, (t.values #>> '{params,value}')::float8,
               (select avg(value) from nasd_core.measurement as m
                where m.trial_id = t.id and m.name = 'val_error' and m.status = 'current'),
               (select min(value) from nasd_core.measurement as m
                where m.trial_id = t.id and m.name = 'latency_ms' and m.device_kind = %s and m.status = 'current')
        from nasd_core.trial as t where t.state = 'completed'""",
        kind,
    )
    return {n: (error, latency, params) for n, params, error, latency in rows if None not in {error, latency}}
