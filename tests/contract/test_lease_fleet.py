"""Leasing where kinds differ: needs, memory, files that must exist first, work for anyone; and trials known in part."""

import json
from dataclasses import replace

import pytest
from database import Scene, completed

from nasd.domain.architecture import Architecture
from nasd.domain.artifact import ArtifactRef
from nasd.domain.history import Proposal
from nasd.domain.ids import ANYWHERE, LOCAL, DeviceKind, LearnedSeq, TrialNumber
from nasd.domain.measurement import UNITS, Measurement, Outcome, OutcomeKind, Stage
from nasd.domain.objective import OF_A_DEVICE, value_name
from nasd.ports.lease import WorkerInfo
from nasd.ports.trials import NewEvaluation, NewTrial, Step

PI5, ORIN = DeviceKind("pi5"), DeviceKind("orin")
ONNX = ArtifactRef("onnx", "ab" * 32, 12)


def put(scene: Scene, *evaluations: NewEvaluation, number: int = 0) -> None:
    """A trial of the one study that needs `evaluations`."""
    rows = scene.database.rows("select id from nasd_core.study")
    study = rows[0][0] if rows else scene.study()
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
    scene.trials.apply(scene.epoch, Step(study=study, trials=(trial,)))


def worker(scene: Scene, kind: DeviceKind = LOCAL, *stages: Stage, **more: object) -> int:
    info = WorkerInfo(name=f"{kind}", host=f"host-{kind}", device_kind=kind, stages=stages or tuple(Stage))
    return scene.leases.register(replace(info, **more))


def leased(scene: Scene, of: int) -> list[tuple[Stage, str]]:
    """What a worker may take, taken."""
    return [(lease.stage, lease.device_kind) for lease in scene.leases.exchange(of, [], 16).leases]


def latency(value: float) -> Outcome:
    return completed(value, name="latency_ms", unit="ms")


@pytest.mark.parametrize("kind", [LOCAL, ANYWHERE, PI5, DeviceKind("local-2")])
@pytest.mark.parametrize("name", sorted({*UNITS, *OF_A_DEVICE, "energy_per_day"}))
def test_values_have_the_same_names_in_sql_and_in_python(scene: Scene, name: str, kind: DeviceKind):
    """A history's columns are looked up among the values that the database derived."""
    assert scene.database.rows("select nasd_core.value_name(%s, %s)", name, kind) == [(value_name(name, kind),)]


def test_work_for_anyone_goes_to_whoever_can(scene: Scene):
    """A board that only measures leaves training to others; a box that trains need not be of the measured kind."""
    put(scene, NewEvaluation(Stage.TRAIN, ANYWHERE, 0), NewEvaluation(Stage.MEASURE, PI5, 0))

    assert leased(scene, worker(scene, ORIN, Stage.MEASURE)) == []
    assert leased(scene, worker(scene, PI5, Stage.MEASURE)) == [(Stage.MEASURE, PI5)]
    assert leased(scene, worker(scene, ORIN, Stage.TRAIN)) == [(Stage.TRAIN, ANYWHERE)]


@pytest.mark.parametrize(
    ("offers", "memory_mib", "is_offered"),
    [
        ((), None, False),
        (("onnxruntime",), None, True),
        (("onnxruntime", "energy"), 100, True),
        (("energy",), None, False),
        (("onnxruntime",), 99, False),
    ],
)
def test_an_evaluation_goes_where_its_needs_are_met(scene: Scene, offers, memory_mib, is_offered):
    """A wrong runtime or too little memory is known before, not found out by dying of it."""
    put(scene, NewEvaluation(Stage.MEASURE, PI5, 0, needs=("onnxruntime",), needs_memory_mib=100))

    found = leased(scene, worker(scene, PI5, Stage.MEASURE, offers=offers, memory_mib=memory_mib))

    assert bool(found) is is_offered


def test_a_measurement_waits_for_its_file_and_gets_it(scene: Scene):
    """The export of a torch worker, by content hash, with the lease."""
    put(scene, NewEvaluation(Stage.EXPORT, ANYWHERE, 9), NewEvaluation(Stage.MEASURE, PI5, 5, awaits="onnx"))
    board, box = worker(scene, PI5, Stage.MEASURE), worker(scene, ORIN, Stage.EXPORT)
    assert scene.leases.lease_next(board) is None

    export = scene.leases.lease_next(box)
    scene.leases.finish(export, Outcome(OutcomeKind.COMPLETED, artifacts=(ONNX,)))

    assert export.artifacts == ()
    assert scene.leases.lease_next(board).artifacts == (ONNX,)
    assert scene.database.rows("select format, sha256, n_bytes from nasd_core.artifact") == [("onnx", ONNX.sha256, 12)]


def test_an_exported_file_needs_none_of_its_studys_code(scene: Scene):
    """A board that only measures has no packages of the user's."""
    put(scene, NewEvaluation(Stage.EXPORT, ANYWHERE, 9), NewEvaluation(Stage.MEASURE, PI5, 5, awaits="onnx"))
    scene.database.rows("update nasd_core.study set packages = '{cam}'")
    board, box = worker(scene, PI5, Stage.MEASURE), worker(scene, ORIN, Stage.EXPORT, packages=("cam",))
    assert leased(scene, worker(scene, LOCAL, Stage.EXPORT)) == []

    scene.leases.finish(scene.leases.lease_next(box), Outcome(OutcomeKind.COMPLETED, artifacts=(ONNX,)))

    assert leased(scene, board) == [(Stage.MEASURE, PI5)]


def test_what_anyone_trained_carries_the_kind_that_did_it(scene: Scene):
    """A measurement names the device that observed it."""
    put(scene, NewEvaluation(Stage.TRAIN, ANYWHERE, 0))
    lease = scene.leases.lease_next(worker(scene, ORIN, Stage.TRAIN))

    scene.leases.finish(lease, completed(0.25))

    assert scene.database.rows("select device_kind, value from nasd_core.measurement") == [("orin", 0.25)]
    assert scene.database.rows("select val_error from trials") == [(0.25,)]


def both_kinds(scene: Scene) -> None:
    put(
        scene,
        NewEvaluation(Stage.MEASURE, PI5, 1),
        NewEvaluation(Stage.MEASURE, ORIN, 1),
        NewEvaluation(Stage.TRAIN, ANYWHERE, 0),
    )


def test_each_kind_has_a_value_of_its_own(scene: Scene):
    """Latency belongs to a kind, never to an architecture alone."""
    both_kinds(scene)
    for kind, value in ((PI5, 7.0), (ORIN, 3.0)):
        scene.leases.finish(scene.leases.lease_next(worker(scene, kind, Stage.MEASURE)), latency(value))

    ((values,),) = scene.database.rows("select nasd_core.plain_values(values) from nasd_core.trial")

    assert values == {"params": 10, "latency_ms@pi5": 7.0, "latency_ms@orin": 3.0}


def trained(scene: Scene) -> None:
    """The trial's training is over, and orin has measured it."""
    scene.leases.finish(scene.leases.lease_next(worker(scene, ORIN, Stage.MEASURE)), latency(3.0))
    scene.leases.finish(scene.leases.lease_next(worker(scene, ORIN, Stage.TRAIN)), completed(0.25))


def test_a_trial_does_not_wait_for_an_absent_device_for_ever(scene: Scene):
    """It ends with what is known; what comes later is a revision."""
    both_kinds(scene)
    trained(scene)
    ((trial,),) = scene.database.rows("select id from nasd_core.trial")
    relax = "select nasd_core.relax_trial(%s, %s)"

    assert scene.database.rows(relax, trial, 3600.0) == [(False,)]
    assert scene.database.rows(relax, trial, 0.0) == [(True,)]
    assert scene.database.rows("select state, pending from nasd_core.trial") == [("completed", "result")]
    assert scene.database.rows(relax, trial, 0.0) == [(False,)]

    scene.leases.finish(scene.leases.lease_next(worker(scene, PI5, Stage.MEASURE)), latency(7.0))

    ((values, state),) = scene.database.rows("select nasd_core.plain_values(values), state from nasd_core.trial")
    assert (values["latency_ms@pi5"], state) == (7.0, "completed")


def test_a_trial_that_is_being_measured_is_waited_for(scene: Scene):
    """Patience is for devices that are away, not for slow ones at work on it."""
    both_kinds(scene)
    trained(scene)
    assert scene.leases.lease_next(worker(scene, PI5, Stage.MEASURE)) is not None

    assert scene.database.rows("select nasd_core.relax_trial(id, 0) from nasd_core.trial") == [(False,)]


def test_a_trial_of_which_nothing_is_known_is_not_ended(scene: Scene):
    """There would be nothing to learn."""
    both_kinds(scene)

    assert scene.database.rows("select nasd_core.relax_trial(id, 0) from nasd_core.trial") == [(False,)]


UNSUPPORTED = Outcome(OutcomeKind.INFEASIBLE, reason="unsupported", message="no such operator")


def test_what_one_kind_cannot_run_keeps_its_place_on_the_other_fronts(scene: Scene):
    """An operator that a runtime lacks says nothing about the network elsewhere."""
    both_kinds(scene)
    scene.leases.finish(scene.leases.lease_next(worker(scene, PI5, Stage.MEASURE)), UNSUPPORTED)
    trained(scene)

    assert scene.database.rows("select state from nasd_core.trial") == [("completed",)]


def test_what_no_kind_can_run_is_infeasible(scene: Scene):
    """The last kind's refusal is the trial's."""
    both_kinds(scene)
    for kind in (PI5, ORIN):
        scene.leases.finish(scene.leases.lease_next(worker(scene, kind, Stage.MEASURE)), UNSUPPORTED)

    assert scene.database.rows("select state, reason from nasd_core.trial") == [("infeasible", "unsupported")]


def with_an_export(scene: Scene) -> None:
    put(
        scene,
        NewEvaluation(Stage.EXPORT, ANYWHERE, 9),
        NewEvaluation(Stage.MEASURE, PI5, 1, awaits="onnx"),
        NewEvaluation(Stage.MEASURE, ORIN, 1),
        NewEvaluation(Stage.TRAIN, ANYWHERE, 0),
    )


def test_a_file_that_cannot_be_made_is_missed_by_those_who_await_it(scene: Scene):
    """The others need no file: the trial keeps its place on their fronts."""
    with_an_export(scene)
    scene.leases.finish(scene.leases.lease_next(worker(scene, ORIN, Stage.EXPORT)), UNSUPPORTED)
    trained(scene)

    assert scene.database.rows("select state from nasd_core.trial") == [("completed",)]
    assert scene.database.rows("select device_kind, reason from nasd_core.evaluation where state = 'cancelled'") == [
        ("pi5", "no_artifact")
    ]


def test_a_file_that_everyone_awaits_and_nobody_can_make_ends_the_trial(scene: Scene):
    """Before it is trained for nothing."""
    put(
        scene,
        NewEvaluation(Stage.EXPORT, ANYWHERE, 9),
        NewEvaluation(Stage.MEASURE, PI5, 1, awaits="onnx"),
        NewEvaluation(Stage.TRAIN, ANYWHERE, 0),
    )
    scene.leases.finish(scene.leases.lease_next(worker(scene, ORIN, Stage.EXPORT)), UNSUPPORTED)

    assert scene.database.rows("select state, reason from nasd_core.trial") == [("infeasible", "unsupported")]


def test_a_limit_broken_on_one_kind_ends_the_trial_before_it_is_trained(scene: Scene):
    """Cheap before dear: that is what limits are for."""
    both_kinds(scene)
    broken = Outcome(
        OutcomeKind.INFEASIBLE, (Measurement("latency_ms", 40.0, "ms"),), reason="over_limit", violation=1.0
    )
    scene.leases.finish(scene.leases.lease_next(worker(scene, PI5, Stage.MEASURE)), broken)

    ((state, violation, values),) = scene.database.rows(
        "select state, violation, nasd_core.plain_values(values) from nasd_core.trial"
    )
    assert (state, violation, values["latency_ms@pi5"]) == ("infeasible", 1.0, 40.0)
    assert scene.database.rows("select count(*) from nasd_core.evaluation where state = 'cancelled'") == [(2,)]


def test_a_worker_of_the_last_protocol_is_refused(scene: Scene):
    """It could not read a new study's recipe."""
    told = {"protocol": 2, "name": "w", "host": "h", "device_kind": "local", "stages": [], "studies": [], "facts": {}}

    with pytest.raises(Exception, match="protocol 3, the worker 2"):
        scene.database.rows("select nasd_api.register_v1(%s)", json.dumps(told))
