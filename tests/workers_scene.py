"""What tests of workers share: recipes of users' functions, short intervals, one evaluation in a child."""

from __future__ import annotations

from pathlib import Path

from nasd.config import LeaseSettings, Settings, WorkerSettings
from nasd.domain.architecture import Architecture
from nasd.domain.ids import LOCAL, StudyId, TrialNumber
from nasd.domain.measurement import Outcome, Stage
from nasd.domain.study import BudgetSpec, EvaluationSpec, ObjectiveSpec, StudySpec
from nasd.ports.lease import WorkerInfo
from nasd.studyfile import spec_to_json
from workers.assignment import Assignment
from workers.evaluator import Evaluator


def recipe(function: str, *, time_limit_s: float | None = None) -> dict[str, object]:
    spec = StudySpec(
        name="toy",
        evaluation=EvaluationSpec(run=f"user_functions:{function}", time_limit_s=time_limit_s),
        objectives={"cost": ObjectiveSpec(unit="coins", worst=100.0)},
        budget=BudgetSpec(trials=10),
    )
    return {"spec": spec_to_json(spec), "data": None}


def settings(home: Path, **worker) -> Settings:
    lease = LeaseSettings(duration_s=1.0, renew_every_s=0.05)
    quick = {"beat_every_s": 0.1, "idle_poll_s": 0.5, "drain_s": 1.0, "allow": ("user_functions",)}
    return Settings(home=home, lease=lease, worker=WorkerSettings(**(quick | worker)))


def info(*stages: Stage, name: str = "w1") -> WorkerInfo:
    return WorkerInfo(
        name=name, host="here", device_kind=LOCAL, stages=stages or (Stage.RUN,), packages=("user_functions",)
    )


def assignment(number: int = 0, *, study: int = 1) -> Assignment:
    return Assignment(
        study_id=StudyId(study),
        study_name="toy",
        trial_number=TrialNumber(number),
        stage=Stage.RUN,
        device_kind=LOCAL,
        replicate=0,
        seed=5,
        fidelity=0,
        architecture=Architecture.of("toy", {"x": number}),
    )


class Rig:
    """An evaluator; each function is a study of its own."""

    def __init__(self, lock_directory: Path, **worker) -> None:
        min_life_s = worker.pop("min_life_s", 60.0)
        self.is_stopping = False
        self.evaluator = Evaluator(
            settings(lock_directory, **worker).worker,
            warm=False,
            is_stopping=lambda: self.is_stopping,
            lock_directory=lock_directory,
            min_life_s=min_life_s,
        )
        self._studies: dict[str, int] = {}

    def run(self, function: str, number: int = 0, *, limit_s: float | None = None) -> Outcome | None:
        study = self._studies.setdefault(function, len(self._studies) + 1)
        return self.evaluator.evaluate(assignment(number, study=study), recipe(function), limit_s=limit_s)

    def value(self, function: str, number: int = 0) -> float:
        outcome = self.run(function, number)
        assert outcome is not None
        (measurement,) = outcome.measurements
        return measurement.value
