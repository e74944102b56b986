"""One study over two device kinds in a real database, its trials, and workers that do as they are told."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from database import Scene, completed

from nasd.domain.architecture import Architecture
from nasd.domain.history import Proposal
from nasd.domain.ids import ANYWHERE, DeviceKind, LearnedSeq, TrialNumber
from nasd.domain.measurement import Outcome, Stage
from nasd.domain.study import BudgetSpec, MeasureSpec, ObjectiveSpec, StudySpec
from nasd.ports.lease import WorkerInfo
from nasd.ports.trials import NewEvaluation, NewTrial, Step
from nasd.store.fleet import PgFleetStore

PI5, ORIN = DeviceKind("pi5"), DeviceKind("orin")
TRAIN = NewEvaluation(Stage.TRAIN, ANYWHERE, 0)


def measure(kind: DeviceKind = PI5, **changes) -> NewEvaluation:
    return replace(NewEvaluation(Stage.MEASURE, kind, 10, needs=("torch-eager",)), **changes)


class Board:
    """One study over two kinds, its trials, and workers that do as they are told."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.rows = scene, scene.database.rows
        self.fleet = PgFleetStore(scene.database.controller, purpose="test")
        self.study = scene.studies.create(spec(), None)
        self._numbers = count()

    def put(self, *evaluations: NewEvaluation) -> int:
        number = next(self._numbers)
        trial = NewTrial(
            number=TrialNumber(number),
            proposal=Proposal(Architecture.of("toy", {"n": number}), "sample"),
            proposed_from=LearnedSeq(0),
            strategy="random",
            strategy_version="random-1",
            fidelity=4,
            seed=1,
            counts={"params": 10},
            evaluations=evaluations,
        )
        self.apply(trials=(trial,))
        return number

    def apply(self, **changes: object) -> None:
        self.scene.trials.apply(self.scene.epoch, Step(study=self.study, **changes))

    def worker(self, kind: DeviceKind, *stages: Stage, **more: object) -> int:
        info = WorkerInfo(
            name=f"{kind}-{more}", host=f"host-{kind}", device_kind=kind, stages=stages, offers=("torch", "torch-eager")
        )
        return self.scene.leases.register(replace(info, **more))

    def do(self, worker: int, outcome: Outcome) -> None:
        """The next that it may do."""
        lease = self.scene.leases.lease_next(worker)
        assert lease is not None
        self.scene.leases.finish(lease, outcome)

    def trial(self, number: int) -> tuple:
        ((found),) = self.rows("select state, pending, values from nasd_core.trial where number = %s", number)
        return found


def spec(patience_s: float = 0.0) -> StudySpec:
    return StudySpec(
        name="study",
        objectives={"val_error": ObjectiveSpec(), "latency_ms": ObjectiveSpec(on=("local", "pi5"))},
        measure=MeasureSpec(patience_s=patience_s),
        budget=BudgetSpec(trials=10),
    )


def latency(value: float, **conditions: object) -> Outcome:
    return completed(value, name="latency_ms", unit="ms")
