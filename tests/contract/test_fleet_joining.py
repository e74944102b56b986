"""Rows of a study that a device kind joins: who says what, which rounds are queued, and what a p95 is."""

from __future__ import annotations

import pytest
from database import Scene
from fleet_board import ORIN, PI5, TRAIN, Board, latency, measure

from nasd.domain.ids import ANYWHERE, LOCAL, TrialNumber
from nasd.domain.measurement import Measurement, Outcome, OutcomeKind, Stage
from nasd.ports.trials import NewEvaluation, StudyState, Wanted
from nasd.studyfile import with_kind


@pytest.fixture
def board(scene: Scene):
    board = Board(scene)
    yield board
    board.fleet.close()


def test_a_round_is_the_next_that_the_trial_has_not_had_and_one_at_a_time(board: Board):
    """Cancelled, failed and later rounds keep their rows; two open ones would measure the same thing twice."""
    board.put(measure(PI5), TRAIN)
    pi5 = board.worker(PI5, Stage.MEASURE)
    board.apply(new_rounds=((TrialNumber(0), measure(PI5, round=2)),))
    rounds = "select round, state from nasd_core.evaluation where stage = 'measure' order by round"
    assert board.rows(rounds) == [(1, "queued")]  # one is open
    board.do(pi5, latency(3.0))
    board.apply(new_rounds=((TrialNumber(0), measure(PI5, round=1, is_required=False)),))
    board.apply(new_rounds=((TrialNumber(0), measure(PI5, round=7)),))
    assert board.rows(rounds) == [(1, "completed"), (2, "queued")]


def test_an_export_is_queued_where_a_measurement_waits_for_a_file(board: Board):
    """Making files that nobody runs, or that are there, would cost a trainer's time."""
    export = NewEvaluation(Stage.EXPORT, ANYWHERE, 50, needs=("torch",), is_required=False)
    onnx = measure(ORIN, needs=("onnxruntime",), awaits="onnx", is_required=False)
    for _ in range(3):
        board.put(TRAIN)
    board.rows(
        "insert into nasd_core.artifact (study_id, trial_id, format, sha256, n_bytes) "
        "select study_id, id, 'onnx', repeat('a', 64), 1 from nasd_core.trial where number = 1"
    )
    some = ((TrialNumber(0), onnx), (TrialNumber(0), export), (TrialNumber(1), onnx), (TrialNumber(1), export))
    board.apply(new_rounds=(*some, (TrialNumber(2), export)))

    exports = "select t.number from nasd_core.evaluation as e join nasd_core.trial as t on t.id = e.trial_id"
    assert board.rows(f"{exports} where e.stage = 'export'") == [(0,)]
    assert board.rows(f"{exports} where e.stage = 'measure' order by 1") == [(0,), (1,)]


def test_an_operator_asks_and_the_leader_lets_a_kind_join(board: Board):
    """Which trial is the first to serve a kind only the leader can say: nobody else knows what was proposed."""
    studies, study = board.scene.studies, board.scene.studies.find("study")
    board.rows(
        "update nasd_core.study set state = 'completed', finished_at = now(), state_reason = 'its budget is used'"
    )
    studies.measure("study", with_kind(study.spec, ORIN, None), ORIN, Wanted.ALL)
    studies.measure("study", studies.find("study").spec, ORIN, Wanted.FRONT)  # asked for less later
    studies.measure("study", studies.find("study").spec, PI5, Wanted.FRONT)

    (found,) = board.scene.trials.studies()
    assert found.state is StudyState.RUNNING
    assert found.spec.device_kinds() == (LOCAL, PI5, ORIN)
    assert found.joined == {LOCAL: 0, PI5: 0}
    assert found.wanted == {ORIN: Wanted.ALL, PI5: Wanted.FRONT}

    board.apply(joined={ORIN: 4}, granted={ORIN: Wanted.ALL})
    (found,) = board.scene.trials.studies()
    assert found.joined == {LOCAL: 0, PI5: 0, ORIN: 4}
    assert found.wanted == {PI5: Wanted.FRONT}


def test_the_newest_p95_is_the_trials_with_the_ends_of_its_interval(board: Board):
    """A limit is decided by the interval: the least of several runs would let a device pass that is often slower."""
    pi5 = board.worker(PI5, Stage.MEASURE)
    board.put(measure(PI5))
    conditions = {"low": 9.0, "high": 12.0}
    for number, (value, ends) in enumerate([(9.5, conditions), (11.0, {"low": 10.5, "high": None})]):
        if number:
            board.apply(new_rounds=((TrialNumber(0), measure(PI5, round=2)),))
        found = Measurement(name="latency_p95_ms", value=value, unit="ms", spread=1.0, n=90, conditions=ends)
        board.do(pi5, Outcome(OutcomeKind.COMPLETED, measurements=(found,)))
        values = board.trial(0)[2]
        assert values["latency_p95_ms@pi5"]["value"] == value
        assert values["latency_p95_low_ms@pi5"]["value"] == ends["low"]
    assert "latency_p95_high_ms@pi5" not in values  # an end that is unknown now decides nothing
