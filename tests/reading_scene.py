"""A study as it looks in the middle of a search: a front, one that failed, one that runs, one that waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from database import Scene

from nasd.cli.main import run
from nasd.domain.architecture import Architecture
from nasd.domain.history import Fact, Proposal
from nasd.domain.ids import LOCAL, LearnedSeq, TrialNumber
from nasd.domain.measurement import Measurement, Outcome, OutcomeKind, Stage
from nasd.ports.trials import FrontChange, NewEvaluation, NewTrial, Step

TRACEBACK = 'Traceback (most recent call last):\n  File "loop.py", line 7\nOverflowError: loss'
GENES = {"layers": 2, "widths": [128, 64], "activation": "relu", "norm": "none", "dropout": 0.1}


def program_in_process(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process on the database of `url`; (exit code, stdout, stderr)."""
    monkeypatch.setenv("NASD_DATABASE_URL", url)
    monkeypatch.setenv("NASD_REDIS_URL", "redis://not-needed")

    def command(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return command


def new_trial(number: int, *, stages: tuple[Stage, ...], baseline: str | None = None) -> NewTrial:
    """A trial whose first gene tells it from the others."""
    architecture = Architecture.of("mlp", GENES | {"widths": [128 + number, 64]})
    parents = () if number == 0 else (TrialNumber(0),)
    operator = "baseline" if baseline else "mutation"
    notes = {"name": baseline} if baseline else {}
    return NewTrial(
        number=TrialNumber(number),
        proposal=Proposal(architecture=architecture, operator=operator, parents=parents, notes=notes),
        proposed_from=LearnedSeq(0),
        strategy="nsga2",
        strategy_version="nsga2-1",
        fidelity=300,
        seed=70 + number,
        counts={"params": 1000 - number, "flops": 2000},
        evaluations=tuple(NewEvaluation(stage=stage, device_kind=LOCAL, priority=0) for stage in stages),
    )


def measured(name: str, value: float, unit: str, spread: float, n: int = 5) -> Outcome:
    """A result with its evidence."""
    measurement = Measurement(name, value, unit, spread=spread, n=n, conditions={"threads": 1})
    return Outcome(OutcomeKind.COMPLETED, (measurement,), log="epoch 1\nepoch 2\n", seconds={"evaluate": 1.5})


def play(scene: Scene, name: str = "study") -> None:
    """Trials 0 (baseline `small`) and 1 on the front, 2 infeasible, 3 running, 4 queued."""
    study = scene.study(name)
    both = (Stage.MEASURE, Stage.TRAIN)
    first = (new_trial(0, stages=both, baseline="small"), new_trial(1, stages=both))
    scene.trials.apply(scene.epoch, Step(study=study, trials=first))
    worker = scene.worker("host-1")
    for value in (0.4, 0.2):
        _finish(scene, worker, measured("latency_ms", value, "ms", 0.011))
        _finish(scene, worker, measured("val_error", value / 10, "fraction", 0.003, n=400))
    scene.trials.apply(scene.epoch, Step(study=study, trials=tuple(new_trial(n, stages=both[1:]) for n in (2, 3, 4))))
    message = "the training loss became inf at step 40"
    _finish(scene, worker, Outcome(OutcomeKind.INFEASIBLE, reason="diverged", message=message, log=TRACEBACK))
    lease = scene.leases.lease_next(worker)
    assert lease is not None
    scene.leases.renew(lease, {"step": 12, "paused_s": 0.0})
    scene.leases.beat(worker, {"busy": 6.0, "paused": 1.0, "idle": 3.0})
    _learn(scene, name)


def _finish(scene: Scene, worker: int, outcome: Outcome) -> None:
    lease = scene.leases.lease_next(worker)
    assert lease is not None
    scene.leases.finish(lease, outcome)


def _learn(scene: Scene, name: str) -> None:
    """As the leader does: three facts, two of which enter the front."""
    study = scene.studies.find(name)
    assert study is not None
    finished = scene.trials.finished(study.id, 64)
    facts = tuple(
        Fact(LearnedSeq(seq), f.kind, f.number, f.state, f.values, f.violation) for seq, f in enumerate(finished, 1)
    )
    front = tuple(
        FrontChange(LOCAL, LearnedSeq(seq), (TrialNumber(seq - 1),), {}, hypervolume=0.25 * seq, size=seq)
        for seq in (1, 2)
    )
    ids = tuple(each.trial_id for each in finished)
    scene.trials.apply(scene.epoch, Step(study=study.id, facts=facts, trial_ids=ids, front=front, used_s=42.0))
