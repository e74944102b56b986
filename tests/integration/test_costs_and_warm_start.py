"""Costs known ahead and warm starts in the life of a study: its rows, its end, its replay."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from database import Scene, completed
from test_controller_loops import Rig, until
from toy_study import SPACE, toy_parts, toy_spec, toy_study, toy_values

from nasd.app.studies import open_study
from nasd.controller.advance import advance
from nasd.controller.mind import WARM_START, StudyMind
from nasd.controller.replay import replay
from nasd.daemon.parts import build_parts
from nasd.domain.architecture import Architecture
from nasd.domain.ids import LOCAL, WorkerId
from nasd.domain.measurement import Measurement, Outcome, OutcomeKind, Stage
from nasd.domain.seeding import trial_rng
from nasd.domain.study import BudgetSpec, EvaluationSpec, ObjectiveSpec, ParameterSpec, SpaceSpec, StudySpec
from nasd.errors import StudyFileError, UserError
from nasd.ports.lease import WorkerInfo
from nasd.ports.trials import StudyState


def raising_spec() -> StudySpec:
    """Its costs can't be had."""
    return StudySpec(
        name="toy",
        space=SpaceSpec(kind="custom", params={"x": ParameterSpec(int_range=(1, 9))}),
        evaluation=EvaluationSpec(run="user_functions:arithmetic", costs="user_costs:raises"),
        objectives={"cost": ObjectiveSpec()},
        budget=BudgetSpec(trials=10),
    )


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.end()


def test_costs_that_come_true_carry_a_study_to_its_end(rig):
    """Declared, checked against every result, and part of the replay."""

    def latency(architecture: Architecture) -> dict[str, float]:
        return toy_values(architecture, Stage.MEASURE)

    study = toy_study(toy_spec(trials=30))
    rig.parts = partial(toy_parts, declared=latency)
    rig.world.add(study)
    rig.controller()
    rig.worker()
    until(lambda: rig.state() is StudyState.COMPLETED)

    row = rig.world.rows[1]
    assert all("latency_ms" in trial.new.counts for trial in row.trials)
    trials = [trial.new for trial in row.trials]
    assert replay(StudyMind(rig.parts(study)), trials, row.facts) == []


@pytest.mark.parametrize("wrong", ["raises", "contradicts"])
def test_costs_that_can_not_be_relied_on_stop_the_study_with_one_sentence(rig, wrong):
    """And leave the others alone."""

    def costs(_architecture: Architecture) -> dict[str, float]:
        return {"latency_ms": 1e9}

    spec = toy_spec(trials=30) if wrong == "contradicts" else raising_spec()
    rig.parts = partial(toy_parts, declared=costs) if wrong == "contradicts" else partial(build_parts, allow=None)
    rig.world.add(toy_study(spec))
    rig.controller()
    rig.worker()
    until(lambda: rig.state() is StudyState.STOPPED)

    reason = rig.world.rows[1].reason
    assert reason.startswith("evaluation.costs")
    assert "\n" not in reason


def test_warm_starts_follow_the_baselines_and_replay(rig):
    """In their order, before anything that the strategy thinks of, and charged like any other trial."""
    warm = tuple(SPACE.sample(trial_rng(5, number)) for number in range(4))
    study = toy_study(toy_spec(trials=12))
    rig.parts = partial(toy_parts, warm_starts=warm)
    rig.world.add(study)
    rig.controller()
    rig.worker()
    until(lambda: rig.state() is StudyState.COMPLETED)

    row = rig.world.rows[1]
    trials = [trial.new for trial in row.trials]
    assert len(trials) == 12
    assert [trial.proposal.operator for trial in trials[:7]] == ["baseline"] * 3 + [WARM_START] * 4
    assert tuple(trial.proposal.architecture for trial in trials[3:7]) == warm
    assert replay(StudyMind(rig.parts(study)), trials, row.facts) == []


FILE = """
{top}
[data]
use = "digits"
[space]
kind = "custom"
[space.params]
x = {{ int = [1, {most}] }}
[evaluation]
run = "user_functions:arithmetic"
{costs}
[objectives]
cost = {{ worst = 10.0, best = 0.0 }}
{more}
[budget]
trials = 9
"""


def written(folder: Path, name: str, *, top: str = "", costs: str = "", more: str = "", most: int = 40) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(FILE.format(top=top, costs=costs, more=more, most=most))
    return path


def refused(path: Path, scene: Scene) -> str:
    with pytest.raises(StudyFileError) as caught:
        open_study(path, scene.studies)
    assert scene.studies.find(path.stem) is None
    return str(caught.value).replace(f"{path.parent}/", "")


def test_a_list_of_architectures_is_stored_with_the_study_and_outlives_the_file(scene: Scene, tmp_path: Path):
    """A resume must bring back what was proposed, whatever became of the list."""
    (tmp_path / "list.json").write_text('[{"x": 7}, {"x": 1}, {"space": "custom", "genes": {"x": 9}}, {"x": 7}]')
    path, said = written(tmp_path, "warm", more='[warm_start]\narchitectures = "list.json"'), []
    study = open_study(path, scene.studies, say=said.append)
    (tmp_path / "list.json").unlink()
    again = open_study(path, scene.studies, say=said.append)

    assert said == ["warm start: 3 architectures from list.json"]
    assert again.spec == study.spec
    mind = StudyMind(build_parts(again))
    for _ in range(5):
        mind.history.add(mind.propose())
    assert [int(each["x"]) for each in mind.history.architectures[:5]] == [1, 21, 40, 7, 9]
    assert mind.history.operators == ["baseline"] * 3 + [WARM_START] * 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[{"x": 1}, {"x": 77}]', "entry 2: x = 77: "),
        ('{"x": 1}\n\n{"y": 1}\n', "line 3: "),
        ('{"x": 1}\n[2]\n', "line 2: is no table of genes"),
        ('{"x": 1}\n{"x"\n', "line 2 is no JSON"),
        ('[{"x": 1}', "is no JSON"),
        ("[]", "holds no architectures"),
        (None, "No such file"),
    ],
)
def test_a_list_that_can_not_be_used_is_refused_with_file_entry_gene_and_value(scene, tmp_path, text, sentence):
    """Before anything is stored."""
    if text is not None:
        (tmp_path / "list.json").write_text(text)
    path = written(tmp_path, "warm", more='[warm_start]\narchitectures = "list.json"')

    assert refused(path, scene).startswith(f'warm.toml:15: warm_start.architectures = "list.json": {sentence}')


def users_worker(scene: Scene) -> WorkerId:
    info = WorkerInfo(name="w", host="h", device_kind=LOCAL, stages=(Stage.RUN,), packages=("user_functions",))
    return scene.leases.register(info)


def evaluated(scene: Scene, name: str, costs: dict[int, float]) -> None:
    """A study whose trials are learned, as a controller and a worker leave them."""
    study = scene.studies.find(name)
    mind = StudyMind(build_parts(study, allow=None))
    worker = users_worker(scene)
    scene.trials.apply(scene.epoch, advance(mind, [], target=len(costs)))
    while (lease := scene.leases.lease_next(worker)) is not None:
        value = costs.get(int(str(lease.architecture["x"])), 9.0)
        scene.leases.finish(lease, completed(value, "cost", "coins"))
    scene.trials.apply(scene.epoch, advance(mind, scene.trials.finished(study.id, 64), target=0))


def test_the_best_of_another_study_begin_a_new_one(scene: Scene, tmp_path: Path):
    """Its front, then its ranks; what does not fit is left out and counted, baselines are not proposed twice."""
    (tmp_path / "list.json").write_text(json.dumps([{"x": x} for x in (3, 5, 12, 33)]))
    open_study(written(tmp_path, "old", more='[warm_start]\narchitectures = "list.json"'), scene.studies)
    evaluated(scene, "old", {1: 0.5, 21: 9.0, 40: 8.0, 3: 2.0, 5: 1.0, 12: 4.0, 33: 0.1})
    said = []

    path = written(tmp_path, "new", most=20, more='[warm_start]\nstudy = "old"\nmost = 2')
    new = open_study(path, scene.studies, say=said.append)

    assert said == ["warm start: 2 architectures from study old; 3 of its 7 do not fit this space"]
    assert [int(Architecture.from_json(each)["x"]) for each in new.spec.warm_start.found] == [5, 3]
    assert open_study(path, scene.studies, say=said.append).spec == new.spec
    assert len(said) == 1


def test_another_study_that_gives_nothing_is_refused(scene: Scene, tmp_path: Path):
    """A warm start that silently is none would be believed."""
    path = written(tmp_path, "new", more='[warm_start]\nstudy = "old"')
    missing = refused(path, scene)
    open_study(written(tmp_path, "old"), scene.studies)

    assert missing.startswith(
        'new.toml:15: warm_start.study = "old": there is no such study in this database; known: no'
    )
    assert "has no finished feasible trial yet" in refused(path, scene)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("raises", "it raised KeyError: 'width'"),
        ("nobodys_name", "which is no objective or limit; known: cost. "),
        ("by_chance", "returned cost = 0, then 1 for the same architecture"),
        ("ends_the_process", "ended the process (3)"),
        ("missing", "user_costs has no missing"),
    ],
)
def test_costs_are_tried_on_the_baselines_before_a_study_is_stored(scene, tmp_path, monkeypatch, function, problem):
    """With the line of the file, and in a process of their own."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    sentence = refused(written(tmp_path, "new", costs=f'costs = "user_costs:{function}"'), scene)

    assert sentence.startswith(f'new.toml:11: evaluation.costs = "user_costs:{function}": ')
    assert problem in sentence


def test_declared_costs_are_a_trials_values_from_the_beginning_and_the_reported_ones_replace_them(
    scene: Scene, tmp_path: Path, monkeypatch
):
    """In the rows: with their unit, in SQL, and for what is infeasible at once too."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    more = 'waste = { unit = "g" }\n[[limits]]\nof = "cost"\nmax = 50'
    spec = open_study(written(tmp_path, "new", costs='costs = "user_costs:good"', more=more), scene.studies)
    mind = StudyMind(build_parts(spec, allow=("user_costs",)))
    scene.trials.apply(scene.epoch, advance(mind, [], target=3))
    rows = scene.database.rows(
        "select (architecture ->> 'x')::int, state, reason, message, objectives -> 'cost' ->> 'value', violation "
        "from nasd.trials order by trial"
    )

    over = "what is known of it ahead is over a hard limit; not queued"
    assert rows == [
        (1, "queued", None, None, "2.0", 0.0),
        (21, "queued", None, None, "42.0", 0.0),
        (40, "infeasible", "over_limit", over, "80.0", pytest.approx(0.6)),
    ]
    found = scene.trials.finished(spec.id, 8)
    assert [(each.values, each.violation) for each in found] == [({"cost": 80.0}, pytest.approx(0.6))]
    lease = scene.leases.lease_next(users_worker(scene))
    reported = tuple(Measurement(name, 3.0, "") for name in ("cost", "waste"))
    scene.leases.finish(lease, Outcome(OutcomeKind.COMPLETED, reported))
    found = scene.trials.finished(spec.id, 8)
    assert found[-1].values == {"cost": 3.0, "waste": 3.0}
    with pytest.raises(UserError, match=r"declares cost = 2 for trial 0, and evaluation\.run reports 3\."):
        advance(mind, found, target=3)
