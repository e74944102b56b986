"""Nothing waits for ever: files that can't be made or were removed, and what an operator asks for meanwhile."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from database import Scene, completed
from fleet_board import PI5, TRAIN, Board, latency, measure

from nasd.controller.able import without_worker
from nasd.controller.stall import stall_reason
from nasd.domain.artifact import ArtifactRef
from nasd.domain.history import Fact
from nasd.domain.ids import ANYWHERE, LOCAL, LearnedSeq, TrialId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Measurement, Outcome, OutcomeKind, Stage
from nasd.ports.trials import NewEvaluation, Wanted
from nasd.store import artifacts

EXPORT = NewEvaluation(Stage.EXPORT, ANYWHERE, 50, needs=("torch",))
LATE_EXPORT = replace(EXPORT, is_required=False)
ON_FILE = measure(awaits="onnx", needs=())
FILE = ArtifactRef("onnx", "ab" * 32, 12)
MADE = Outcome(OutcomeKind.COMPLETED, artifacts=(FILE,))
UNSUPPORTED = Outcome(OutcomeKind.INFEASIBLE, reason="unsupported", message="no such operator")


@pytest.fixture
def board(scene: Scene):
    board = Board(scene)
    yield board
    board.fleet.close()


def learn(board: Board, number: int = 0) -> None:
    """What the leader does with a trial's news."""
    ((trial, seq),) = board.rows(
        "select t.id, s.learned_seq from nasd_core.trial as t join nasd_core.study as s on s.id = t.study_id "
        "where t.number = %s",
        number,
    )
    fact = Fact(LearnedSeq(seq + 1), "result", TrialNumber(number), State.COMPLETED, {})
    board.apply(facts=(fact,), trial_ids=(TrialId(trial),))


def test_who_awaits_a_late_file_that_cannot_be_made_waits_no_longer(board: Board):
    """A board joined a finished study: its measurement would keep the study open for ever."""
    board.put(TRAIN)
    box = board.worker(LOCAL, Stage.TRAIN, Stage.EXPORT)
    board.do(box, completed(0.1))
    learn(board)
    late = replace(ON_FILE, is_required=False)
    board.apply(new_rounds=((TrialNumber(0), late), (TrialNumber(0), LATE_EXPORT)))

    board.do(box, UNSUPPORTED)

    assert board.scene.trials.n_open(board.study) == {}
    assert board.trial(0)[:2] == ("completed", "revision")
    assert board.rows("select reason from nasd_core.evaluation where device_kind = 'pi5'") == [("no_artifact",)]


def test_a_file_that_fails_after_its_trial_went_on_without_it_is_waited_for_no_longer(board: Board):
    """No worker exported for a while; the trial ended without its board; then the export proved impossible."""
    board.put(EXPORT, ON_FILE, TRAIN)
    board.do(board.worker(LOCAL, Stage.TRAIN), completed(0.1))
    assert board.fleet.relax(board.scene.epoch, 10) == 1

    board.do(board.worker(LOCAL, Stage.EXPORT), UNSUPPORTED)

    assert board.trial(0)[0] == "completed"
    assert board.scene.trials.n_open(board.study) == {}


def test_a_file_that_was_removed_before_its_trial_is_measured_again_is_made_again(board: Board):
    """The quota takes what nothing needs; a revision can bring its trial back to a front, which asks for a round."""
    box, pi5 = board.worker(LOCAL, Stage.TRAIN, Stage.EXPORT), board.worker(PI5, Stage.MEASURE)
    board.put(EXPORT, ON_FILE, TRAIN)
    board.do(box, MADE)
    board.do(pi5, latency(7.0))
    board.do(box, completed(0.1))
    learn(board)
    with psycopg.connect(board.scene.database.controller, autocommit=True) as connection:
        assert artifacts.forget(connection, [FILE.sha256]) == {FILE.sha256}
    board.apply(new_rounds=((TrialNumber(0), replace(ON_FILE, round=2)),))

    assert board.fleet.mend(board.scene.epoch, 10) == 1
    assert board.fleet.mend(board.scene.epoch, 10) == 0  # it is on its way
    board.do(box, MADE)
    board.do(pi5, latency(6.0))

    assert board.scene.trials.n_open(board.study) == {}
    assert board.trial(0)[2]["latency_ms@pi5"]["value"] == 6.0


def test_what_is_asked_for_while_the_leader_grants_less_is_not_lost(board: Board):
    """`nasd measure STUDY --front`, then without it, a moment later."""
    scene = board.scene
    found = scene.studies.find("study")
    scene.studies.measure("study", found.spec, PI5, Wanted.FRONT)
    granted = scene.studies.find("study").wanted
    scene.studies.measure("study", found.spec, PI5, Wanted.ALL)

    board.apply(granted=granted)

    assert scene.studies.find("study").wanted == {PI5: Wanted.ALL}
    board.apply(granted={PI5: Wanted.ALL})
    assert scene.studies.find("study").wanted == {}


def test_a_limit_broken_on_a_kind_that_joined_leaves_the_trial_its_other_fronts(board: Board):
    """What a board that came later measures must not undo what the search finds for others."""
    board.rows("""update nasd_core.study set joined = '{"local": 0, "pi5": 0}'""")
    broken = Outcome(
        OutcomeKind.INFEASIBLE, (Measurement("latency_ms", 40.0, "ms"),), reason="over_limit", violation=1.0
    )
    box, pi5 = board.worker(LOCAL, Stage.TRAIN, Stage.MEASURE), board.worker(PI5, Stage.MEASURE)
    board.put(measure(LOCAL), measure(PI5), TRAIN)
    board.do(pi5, broken)
    assert board.trial(0)[0] == "infeasible"  # a founding kind

    board.rows("""update nasd_core.study set joined = '{"local": 0, "pi5": 1}'""")
    board.put(measure(LOCAL), measure(PI5), TRAIN)
    board.do(pi5, broken)
    board.do(box, latency(2.0))
    board.do(box, completed(0.1))

    state, _, values = board.trial(1)
    assert (state, values["latency_ms@pi5"]["value"]) == ("completed", 40.0)


def test_who_measures_does_not_replace_a_trials_file(board: Board):
    """Devices are not trusted: what one brings must not be what the others run."""
    board.put(EXPORT, ON_FILE, TRAIN)
    board.do(board.worker(LOCAL, Stage.EXPORT), MADE)
    other = ArtifactRef("onnx", "cd" * 32, 12)
    board.do(board.worker(PI5, Stage.MEASURE), replace(latency(1.0), artifacts=(other,)))

    assert board.rows("select sha256 from nasd_core.artifact") == [(FILE.sha256,)]


@pytest.mark.parametrize("queued", [(measure(),), (measure(), EXPORT), (ON_FILE,)])
def test_a_draining_board_is_one_that_does_not_come(board: Board, queued):
    """It beats and takes nothing: a study that may finish without it must not wait, and whoever waits is told why."""
    board.put(*queued)
    worker = board.worker(PI5, Stage.MEASURE, Stage.EXPORT, offers=("torch", "torch-eager"))
    found = board.scene.studies.find("study").spec
    assert PI5 not in without_worker(found, board.scene.trials.workers())
    board.rows("update nasd_core.worker set login = 'nasd_device_kitchen' where id = %s", worker)
    board.rows(
        "insert into nasd_core.login (name, device_kind, role, is_draining, expires_at) "
        "values ('kitchen', 'pi5', 'nasd_device_kitchen', true, now())"
    )

    assert PI5 in without_worker(found, board.scene.trials.workers())
    ((text, now),) = board.rows("select stall, clock_timestamp() from nasd.studies")
    assert text is not None
    assert text == f"stalled: {stall_reason(board.fleet.waiting(), board.scene.trials.workers(), now)}"
    assert "draining" in text or "export" in text


def test_a_later_round_is_queued_beside_the_last_and_the_same_one_is_not(board: Board):
    """A late value of one device had the leader ask for the next round of another before the last one ended."""
    board.put(measure(PI5), TRAIN)
    board.do(board.worker(PI5, Stage.MEASURE), latency(7.0))
    for round_ in (2, 3, 3, 1):
        board.apply(new_rounds=((TrialNumber(0), measure(PI5, round=round_)),))

    rounds = board.rows("select round from nasd_core.evaluation where device_kind = 'pi5' order by 1")
    assert rounds == [(1,), (2,), (3,)]
