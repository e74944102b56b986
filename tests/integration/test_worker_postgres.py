"""A worker process against the real database: trains and measures real networks, reports, leaves."""

import os
import subprocess
import sys

import numpy as np

from nasd import data, spaces
from nasd.domain.history import Proposal
from nasd.domain.ids import LOCAL, LearnedSeq, TrialNumber
from nasd.domain.measurement import Stage
from nasd.domain.study import BudgetSpec, ObjectiveSpec, StudySpec, TrainSpec
from nasd.ports.trials import NewEvaluation, NewTrial, Step

SPEC = StudySpec(
    name="digits",
    train=TrainSpec(steps=20),
    objectives={"val_error": ObjectiveSpec(), "latency_ms": ObjectiveSpec(on=("local",)), "params": ObjectiveSpec()},
    budget=BudgetSpec(trials=2),
)


def test_a_worker_process_trains_and_measures(scene, tmp_path):
    """Store, child, torch, data and lock together, as `docker compose up` runs them."""
    facts = data.describe(SPEC.data)
    space = spaces.build(SPEC.space, facts.problem)
    study = scene.studies.create(SPEC, facts)
    trial = NewTrial(
        number=TrialNumber(0),
        proposal=Proposal(space.sample(np.random.default_rng(0)), "sample"),
        proposed_from=LearnedSeq(0),
        strategy="random",
        strategy_version="random-1",
        fidelity=SPEC.train.steps,
        seed=3,
        counts={"params": 1, "flops": 1},
        evaluations=tuple(NewEvaluation(stage, LOCAL, 0) for stage in (Stage.MEASURE, Stage.TRAIN)),
    )
    scene.trials.apply(scene.epoch, Step(study=study, trials=(trial,)))
    environment = os.environ | {"NASD_DATABASE_URL": scene.database.worker, "NASD_HOME": str(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-m", "workers", "--once"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert scene.states() == {"measure": "completed", "train": "completed"}
    found = dict(scene.database.rows("select name, value from measurements"))
    assert set(found) == {"val_error", "val_loss", "train_loss", "latency_ms", "peak_memory_bytes"}
    ((busy_s, facts_there),) = scene.database.rows("select busy_s, facts ? 'cpu' from workers")
    assert busy_s > 0
    assert facts_there
    assert "worker left" in ended.stderr


def test_a_worker_without_a_database_says_what_to_do(tmp_path):
    """One sentence, no traceback."""
    environment = {name: value for name, value in os.environ.items() if name != "NASD_DATABASE_URL"}

    ended = subprocess.run(
        [sys.executable, "-m", "workers"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "NASD_DATABASE_URL is not set" in ended.stderr
    assert "Traceback" not in ended.stderr
