"""What the controller's sweep may do to rows: say what waits, let trials end that only a device keeps, put in order."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from database import Scene, completed
from fleet_board import ORIN, PI5, TRAIN, Board, latency, measure

from nasd.controller.stall import stall_reason
from nasd.domain.ids import ANYWHERE, LOCAL
from nasd.domain.measurement import Stage
from nasd.errors import Deposed


@pytest.fixture
def board(scene: Scene):
    board = Board(scene)
    yield board
    board.fleet.close()


def test_a_trial_that_a_device_alone_keeps_ends_without_it_and_is_revised(board: Board):
    """A board that is away must not hold up what the search learns; what it says later is learned all the same."""
    trainer = board.worker(LOCAL, Stage.TRAIN, Stage.MEASURE)
    board.put(measure(LOCAL), measure(PI5), TRAIN)
    board.do(trainer, latency(2.0))
    assert (board.fleet.idle(), board.fleet.relax(board.scene.epoch, 10)) == ({}, 0)  # it is not trained yet
    board.do(trainer, completed(0.1))
    assert board.trial(0)[0] == "running"
    assert board.fleet.idle() == {board.study: 1}

    assert board.fleet.relax(board.scene.epoch, 10) == 1
    assert board.trial(0)[:2] == ("completed", "result")
    assert board.fleet.idle() == {}
    assert board.fleet.relax(board.scene.epoch, 10) == 0

    board.do(board.worker(PI5, Stage.MEASURE), latency(7.0))
    state, _, values = board.trial(0)
    assert state == "completed"
    assert values["latency_ms@pi5"]["value"] == 7.0
    assert values["latency_ms"]["value"] == 2.0
    assert board.scene.trials.n_open(board.study) == {}


def test_patience_is_the_studys_and_a_sweep_is_bounded(board: Board):
    """Waiting a while is cheaper than learning a trial twice; a thousand trials are not ended in one sweep."""
    trainer = board.worker(LOCAL, Stage.TRAIN, Stage.MEASURE)
    for _ in range(3):
        board.put(measure(PI5), TRAIN)
        board.do(trainer, completed(0.1))
    board.rows("update nasd_core.study set spec = jsonb_set(spec, '{measure,patience_s}', '3600')")
    assert board.fleet.relax(board.scene.epoch, 10) == 0
    board.rows("update nasd_core.study set spec = jsonb_set(spec, '{measure,patience_s}', '0')")
    assert board.fleet.relax(board.scene.epoch, 2) == 2
    assert board.fleet.relax(board.scene.epoch, 2) == 1


def test_what_somebody_measures_now_is_waited_for(board: Board):
    """Its value is seconds away."""
    trainer, pi5 = board.worker(LOCAL, Stage.TRAIN), board.worker(PI5, Stage.MEASURE)
    board.put(measure(PI5), TRAIN)
    board.do(trainer, completed(0.1))
    assert board.scene.leases.lease_next(pi5) is not None

    assert board.fleet.relax(board.scene.epoch, 10) == 0
    assert board.trial(0)[0] == "running"


def test_the_deposed_relax_and_order_nothing(board: Board):
    """Two controllers that sweep would undo each other."""
    board.put(measure(PI5), TRAIN)
    board.do(board.worker(LOCAL, Stage.TRAIN), completed(0.1))
    with pytest.raises(Deposed):
        board.fleet.relax(board.scene.epoch + 1, 10)
    with pytest.raises(Deposed):
        board.fleet.prioritise(board.scene.epoch + 1, {1: 2})


def test_priorities_move_what_is_queued_and_leave_alone_what_was_leased(board: Board):
    """The order of a scarce device is decided a moment before it is written."""
    for _ in range(3):
        board.put(measure(PI5), TRAIN)
    first, second, third = board.fleet.queued_measures(board.study, PI5, 10)
    assert [each.number for each in (first, second, third)] == [0, 1, 2]
    pi5 = board.worker(PI5, Stage.MEASURE)
    assert board.scene.leases.lease_next(pi5).trial_number == 0

    ids = (first.evaluation_id, second.evaluation_id, third.evaluation_id)
    board.fleet.prioritise(board.scene.epoch, dict(zip(ids, (40, 20, 30), strict=True)))

    queued = board.fleet.queued_measures(board.study, PI5, 10)
    assert [(each.number, each.priority) for each in queued] == [(2, 30), (1, 20)]
    assert len(board.fleet.queued_measures(board.study, PI5, 1)) == 1
    assert board.rows("select priority from nasd_core.evaluation where id = %s", ids[0]) == [(10,)]


def test_waiting_says_what_is_needed_and_which_files_are_lacking(board: Board):
    """The stall's sentence and the doorbells are made of it."""
    onnx = measure(ORIN, needs=("onnxruntime",), awaits="onnx", needs_memory_mib=30)
    board.put(measure(PI5), onnx, TRAIN)
    board.put(onnx, TRAIN)
    board.rows(
        "insert into nasd_core.artifact (study_id, trial_id, format, sha256, n_bytes) "
        "select study_id, id, 'onnx', repeat('a', 64), 1 from nasd_core.trial where number = 1"
    )
    found = {(each.stage, each.device_kind, each.lacks): each for each in board.fleet.waiting()}

    assert {key: each.n for key, each in found.items()} == {
        (Stage.MEASURE, PI5, None): 1,
        (Stage.MEASURE, ORIN, "onnx"): 1,
        (Stage.MEASURE, ORIN, None): 1,
        (Stage.TRAIN, ANYWHERE, None): 2,
    }
    each = found[Stage.MEASURE, ORIN, None]
    assert (each.study, each.study_name, each.needs, each.needs_memory_mib) == (
        board.study, "study", ("onnxruntime",), 30,
    )  # fmt: skip


@pytest.mark.parametrize("case", range(12))
def test_the_view_says_of_a_study_what_the_controller_says(board: Board, case: int):
    """`nasd status` reads the view, the log and the metric come from the controller: one truth in two places."""
    evaluations = [
        (measure(),),
        (measure(), TRAIN),
        (replace(TRAIN, needs=("gpu",), needs_memory_mib=900),),
        (measure(needs=("onnxruntime",)),),
        (measure(needs=("torch-eager", "energy")),),
        (measure(needs_memory_mib=4000),),
        (measure(needs=("onnxruntime",), awaits="onnx-int8"),),
        (measure(ORIN), TRAIN),
    ]
    for some in evaluations[case % 8 :: 3]:
        board.put(*some)
    match case % 4:
        case 0:
            board.worker(PI5, Stage.MEASURE)
        case 1:
            board.worker(PI5, Stage.MEASURE, memory_mib=2000)
            board.worker(LOCAL, Stage.TRAIN)
        case 2:
            board.worker(ORIN, Stage.TRAIN, offers=("gpu",))
        case 3:
            board.worker(PI5, Stage.MEASURE, studies=("other",))
            board.worker(LOCAL, *Stage, memory_mib=100)
            board.rows(
                "update nasd_core.worker set last_seen_at = now() - interval '3 hours 2 min' where device_kind = 'pi5'"
            )
            board.rows(
                "update nasd_core.device set last_seen_at = now() - interval '3 hours 2 min' where device_kind = 'pi5'"
            )
    ((text, now),) = board.rows("select stall, clock_timestamp() from nasd.studies")

    reason = stall_reason(board.fleet.waiting(), board.scene.trials.workers(), now)

    assert reason is not None
    assert text == f"stalled: {reason}"


def test_readers_may_see_why_a_study_stands_still(board: Board):
    """The public views are all that a reader may touch; a function behind one must not need more."""
    board.put(measure())
    board.worker(LOCAL, Stage.TRAIN)
    with psycopg.connect(board.scene.database.reader) as connection:
        ((stall,),) = connection.execute("select stall from nasd.studies").fetchall()
    assert stall == "stalled: 1 evaluation waits for pi5, never seen; let one join: nasd device add NAME --kind pi5"
