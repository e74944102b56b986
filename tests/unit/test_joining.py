"""A device kind joins a study that has trials: a front of its own, and nothing else changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from study_life import Life
from toy_study import toy_parts

from nasd.controller.kinds import kinds_of
from nasd.controller.mind import StudyMind
from nasd.controller.replay import replay
from nasd.domain.devices import DeviceSpec, Runtime
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.study import LimitSpec
from nasd.ports.trials import StudyState, Wanted
from nasd.strategies.by_kind import SERVES
from nasd.studyfile import with_kind

PI5 = DeviceKind("pi5")


def finished_study(**spec: object) -> Life:
    life = Life(trials=16, **spec)
    life.play_out()
    return life


def join(life: Life, kind: DeviceKind, which: Wanted, device: DeviceSpec | None = None) -> None:
    """As `PgStudies.measure` leaves the row."""
    study = life.row.study
    joined = study.joined or dict.fromkeys(study.spec.device_kinds(), 0)
    spec = with_kind(study.spec, kind, device)
    life.world.set_study(
        study.id, spec=spec, joined=joined, wanted={**study.wanted, kind: which}, state=StudyState.RUNNING
    )
    life.study, life.mind = replace(life.study, spec=spec), None


@pytest.mark.parametrize("which", Wanted)
@pytest.mark.parametrize("use", ["nsga2", "screened"])
def test_a_kind_that_joins_a_finished_study_gets_a_front_and_changes_nothing_else(which, use):
    """`nasd measure`: nothing is proposed, old proposals are made again, other fronts stay."""
    life = finished_study(use=use)
    before = life.rebuilt()
    members, n_trials = before.fronts[LOCAL].members, len(life.row.trials)
    completed = tuple(trial.new.number for trial in life.row.trials if trial.state is State.COMPLETED)
    join(life, PI5, which)
    life.play_out()
    life.check_laws()
    after = life.rebuilt()

    assert life.row.study.state is StudyState.COMPLETED
    assert life.row.reason == "its budget of 16 trials is used"
    assert life.row.study.joined == {LOCAL: 0, PI5: 16}
    assert not life.row.study.wanted
    assert len(life.row.trials) == n_trials
    assert after.fronts[LOCAL].members == members
    measured = tuple(trial.new.number for trial in life.row.trials if "latency_ms@pi5" in trial.values)
    assert measured == (members if which is Wanted.FRONT else completed)
    assert after.fronts[PI5].members
    assert after.parts.strategy.version == before.parts.strategy.version


def test_a_kind_that_joins_a_running_study_is_served_from_then_on():
    """The budget is not used up: the new kind gets its turns, and what was under way is measured on it too."""
    life = Life(trials=30, in_flight=3)
    while len(life.row.facts) < 12:
        life.tick()
        life.finish()
    join(life, PI5, Wanted.ALL)
    life.play_out()
    life.check_laws()

    since = life.row.study.joined[PI5]
    served = [trial.new.proposal.notes.get(SERVES) for trial in life.row.trials]
    assert not any(served[:since])
    assert abs(served[since:].count(PI5) - served[since:].count(LOCAL)) <= 1
    assert all("latency_ms@pi5" in trial.values for trial in life.row.trials if trial.state is State.COMPLETED)


@pytest.mark.parametrize("crash_first", [False, True])
def test_a_crash_while_a_kind_joins_loses_nothing_of_it(crash_first):
    """The leader says with which trial it joins, in the step that asks for its measurements: both or neither."""
    life = finished_study()
    join(life, PI5, Wanted.ALL)
    if crash_first:
        life.n_crashes = 0
        life.crash()  # a step that is lost
    life.tick()
    life.mind = None
    assert life.row.study.joined == {LOCAL: 0, PI5: 16}
    assert len([each for each in life.world.evaluations if each.new.device_kind == PI5]) == 16
    life.play_out()
    life.check_laws()


def test_a_limit_on_every_kind_breaks_the_front_alone_of_one_that_joined():
    """What a board measures years later must not undo what the search found for others."""
    life = finished_study(limits=(LimitSpec(of="latency_ms", max=5.0),))
    join(life, PI5, Wanted.ALL)
    states = [trial.state for trial in life.row.trials]
    life.play_out()
    life.check_laws()
    mind = life.rebuilt()
    slow = [trial for trial in life.row.trials if trial.values.get("latency_ms@pi5", 0) > 5]

    assert slow
    assert [trial.state for trial in life.row.trials] == states
    assert not {trial.new.number for trial in slow} & set(mind.fronts[PI5].members)
    assert kinds_of(life.study.spec, life.row.study.joined).founding == (LOCAL,)


def test_a_kind_that_runs_files_gets_its_exports_too():
    """Nobody made them: the study had no kind that needs one."""
    life = finished_study()
    join(life, PI5, Wanted.FRONT, DeviceSpec(runtime=Runtime.ONNX))
    life.tick()
    new = [each.new for each in life.world.evaluations if each.state is State.QUEUED]
    members = len(life.rebuilt().fronts[LOCAL].members)

    assert Counter(each.stage for each in new) == {Stage.MEASURE: members, Stage.EXPORT: members}
    assert {(each.needs, each.awaits) for each in new} == {(("onnxruntime",), "onnx"), (("torch",), None)}
    assert not any(each.is_required for each in new)


def test_replay_of_a_study_whose_kind_has_not_joined_yet_compares_what_there_is():
    """`nasd replay` may run between the command and the controller."""
    life = finished_study()
    join(life, PI5, Wanted.ALL)
    trials, facts = life.store.history(life.study.id)
    assert replay(StudyMind(toy_parts(life.row.study)), trials, facts) == []
