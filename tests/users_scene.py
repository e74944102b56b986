"""Studies of users' code and what a real worker process made of them, as rows."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from database import Scene

from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts
from nasd.domain.history import Proposal
from nasd.domain.ids import LOCAL, LearnedSeq, TrialNumber
from nasd.domain.measurement import Stage
from nasd.domain.study import (
    BudgetSpec,
    DataSpec,
    EvaluationSpec,
    ModelSpec,
    ObjectiveSpec,
    SpaceSpec,
    StudySpec,
    TrainSpec,
)
from nasd.ports.trials import NewEvaluation, NewTrial, Step
from nasd.store.trials import PgTrialStore

TESTS = Path(__file__).parent
MODEL, LOAD, METRIC, RUN = "model.build", "data.load", "train.metric", "evaluation.run"
STEPS = 4


@dataclass(frozen=True, slots=True)
class Row:
    """What is stored of a trial and of its last attempt."""

    state: str
    reason: str | None
    message: str | None
    log: str
    attempts: int
    values: dict[str, float]


def spec_of(name: str, key: str, dotted: str, *, time_limit_s: float | None = None) -> StudySpec:
    """A study in which `key` of the study file names `dotted`; everything else in it is good."""
    spec = StudySpec(
        name=name,
        space=SpaceSpec(kind="custom"),
        model=ModelSpec(build="user_models:build"),
        train=TrainSpec(steps=STEPS, batch=16, time_limit_s=time_limit_s),
        objectives={"val_error": ObjectiveSpec(), "params": ObjectiveSpec()},
        budget=BudgetSpec(trials=10),
    )
    if key == MODEL:
        return replace(spec, model=ModelSpec(build=dotted))
    if key == LOAD:
        return replace(spec, data=DataSpec(load=dotted))
    if key == METRIC:
        return replace(spec, train=replace(spec.train, metric=dotted), objectives={"wrong_share": ObjectiveSpec()})
    return replace(
        spec,
        evaluation=EvaluationSpec(run=dotted, time_limit_s=time_limit_s),
        objectives={"cost": ObjectiveSpec(unit="coins", worst=100.0)},
    )


class Users:
    """Adds studies of one trial each, lets a worker do them all, and reads what became of them."""

    def __init__(self, scene: Scene, folder: Path, facts: DataFacts) -> None:
        self._scene, self.folder, self._facts = scene, folder, facts
        self._trials = PgTrialStore(scene.database.controller, purpose="test", max_attempts=2, backoff_s=0.0)

    def close(self) -> None:
        for store in (self._trials, self._scene.trials, self._scene.leadership, self._scene.leases):
            store.close()

    def add(self, spec: StudySpec, *, stages: tuple[Stage, ...] | None = None, x: int = 1) -> None:
        """A study with one trial of the architecture {"x": x}; its data are the digits, or pretend to be."""
        facts = self._facts
        if spec.data.load is not None:
            facts = replace(facts, name=spec.data.name, sha256=dict.fromkeys(("train", "validation"), spec.name))
        study = self._scene.studies.create(spec, facts)
        trial = NewTrial(
            number=TrialNumber(0),
            proposal=Proposal(Architecture.of("custom", {"x": x}), "sample"),
            proposed_from=LearnedSeq(0),
            strategy="random",
            strategy_version="random-1",
            fidelity=spec.train.steps,
            seed=3,
            counts={},
            evaluations=tuple(NewEvaluation(stage, LOCAL, 0) for stage in stages or spec.stages()[-1:]),
        )
        self._trials.apply(self._scene.epoch, Step(study=study, trials=(trial,)))

    def work(self, *options: str, timeout_s: float = 120.0) -> str:
        """One worker process until nothing is left for it; what it said."""
        environment = os.environ | {
            "NASD_DATABASE_URL": self._scene.database.worker,
            "NASD_HOME": str(self.folder / "home"),
            "NASD_LEASE__BACKOFF_S": "0",
            "USERS_PIDS": str(self.folder / "pids"),
        }
        ended = subprocess.run(
            [sys.executable, "-m", "workers", "--once", "--folder", str(TESTS), *options],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    def row(self, study: str) -> Row:
        """Of the study's only trial."""
        ((state, reason, message, objectives),) = self._scene.database.rows(
            "select state, reason, message, objectives from nasd.trials where study = %s", study
        )
        # what a bundle gives back because another evaluation of it took long was no attempt at this one
        attempts = self._scene.database.rows(
            "select log from nasd.attempts where study = %s and ended_how is distinct from 'given_back' "
            "order by evaluation, attempt",
            study,
        )
        values = {name: float(value["value"]) for name, value in objectives.items()}
        return Row(state, reason, message, (attempts or [("",)])[-1][0] or "", len(attempts), values)

    def stall(self, study: str) -> str | None:
        """What the public view says of it."""
        ((text,),) = self._scene.database.rows("select stall from nasd.studies where study = %s", study)
        return text
