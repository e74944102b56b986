"""Whose fault an end was decides what a strategy learns and whether work is tried again."""

import signal

import pytest

from nasd.domain.architecture import Architecture
from nasd.domain.ids import LOCAL, StudyId, TrialNumber
from nasd.domain.measurement import Measurement, Outcome, OutcomeKind, Stage
from nasd.domain.study import BudgetSpec, EvaluationSpec, ObjectiveSpec, StudySpec
from nasd.errors import CandidateFault, FunctionError, Unavailable, WorldFault
from workers.assignment import Assignment, outcome_from_json, outcome_to_json
from workers.stages.run import measurements
from workers.stats import WorkerStats
from workers.verdict import of_death, of_exception, over_memory, over_time

INFEASIBLE, FAILED = OutcomeKind.INFEASIBLE, OutcomeKind.FAILED


class Mute(Exception):
    """As users write them: it fails to describe itself."""

    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "users", "kind", "reason"),
    [
        (CandidateFault("diverged", "NaN"), False, INFEASIBLE, "diverged"),
        (WorldFault("data_mismatch", "other data"), False, FAILED, "data_mismatch"),
        (Unavailable("no scikit-learn"), False, FAILED, "unavailable"),
        (FunctionError("import_error", "importing cam raised"), True, FAILED, "import_error"),
        (MemoryError(), False, INFEASIBLE, "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), False, INFEASIBLE, "out_of_memory"),
        (RuntimeError("CUDA out of memory"), True, INFEASIBLE, "out_of_memory"),
        (KeyError("x"), False, FAILED, "internal"),
        (KeyError("x"), True, INFEASIBLE, "exception"),
        (SystemExit(1), True, INFEASIBLE, "exception"),
        (Mute(), True, INFEASIBLE, "exception"),
    ],
)
def test_an_exception_is_classed_by_whose_fault_it_was(error, users, kind, reason):
    """A bug of ours, and a function that can't be had, must not teach a strategy that an architecture is bad."""
    verdict = of_exception(error, runs_users_code=users)

    assert (kind, reason) == (verdict.kind, verdict.reason)


@pytest.mark.parametrize(
    ("status", "oom_killed", "kind", "reason"),
    [
        *[(-number, False, INFEASIBLE, "crashed") for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT)],
        (-signal.SIGKILL, True, INFEASIBLE, "out_of_memory"),
        (-signal.SIGKILL, False, FAILED, "child_killed"),
        (-signal.SIGTERM, True, FAILED, "child_killed"),
        (-63, False, FAILED, "child_killed"),
        (0, False, INFEASIBLE, "exited"),
        (3, True, INFEASIBLE, "exited"),
    ],
)
def test_a_death_is_classed_by_its_signal(status, oom_killed, kind, reason):
    """A crash repeats itself and must not be tried three times; a kill from outside deserves another attempt."""
    verdict = of_death(status, runs_users_code=True, oom_killed=oom_killed)

    assert (kind, reason) == (verdict.kind, verdict.reason)


def test_our_own_stage_that_ends_its_process_is_our_fault():
    """Only users' functions may be blamed for calling exit."""
    assert of_death(1, runs_users_code=False, oom_killed=False).kind is FAILED


def test_limits_are_the_candidates_fault_with_a_size():
    """A strategy can prefer what overshot by little."""
    assert over_time(2.0).reason == "time_limit"
    assert over_memory(150, 100).violation == pytest.approx(0.5)
    assert over_memory(100, 100).violation > 0


def test_what_crosses_the_wire_comes_back_equal():
    """The child speaks JSON, and the spool keeps it for days."""
    outcome = Outcome(
        INFEASIBLE,
        (Measurement("a", 1.5, "ms", spread=0.1, n=3, conditions={"threads": 1}), Measurement("b", 2.0, "")),
        reason="x",
        message="y",
        violation=0.5,
        log="z",
        seconds={"evaluate": 1.0},
    )
    assignment = Assignment(
        study_id=StudyId(1),
        study_name="s",
        trial_number=TrialNumber(2),
        stage=Stage.TRAIN,
        device_kind=LOCAL,
        replicate=0,
        seed=7,
        fidelity=100,
        architecture=Architecture.of("mlp", {"hidden": (1, 2), "norm": "none"}),
    )

    assert outcome_from_json(outcome_to_json(outcome)) == outcome
    assert Assignment.from_json(assignment.to_json()) == assignment


def toy_spec() -> StudySpec:
    return StudySpec(
        name="toy",
        evaluation=EvaluationSpec(run="a.b:c"),
        objectives={"cost": ObjectiveSpec(unit="coins", worst=1.0), "params": ObjectiveSpec()},
        budget=BudgetSpec(trials=1),
    )


class Scalar:
    """As numpy and torch scalars: no number by type, but one by conversion."""

    def item(self) -> float:
        return 0.5

    def __float__(self) -> float:
        return 0.5


def test_users_numbers_become_measurements_with_their_unit():
    """Scalars of numpy and torch count as numbers; counts come from the controller, not from the function."""
    one, other = measurements({"cost": Scalar(), "extra": 2}, toy_spec(), complete=True)

    assert (one.value, one.unit, other.value, other.unit) == (0.5, "coins", 2.0, "")


@pytest.mark.parametrize("returned", [None, [1], {}, {"cost": "1"}, {"cost": True}, {"cost": float("inf")}])
def test_anything_else_is_the_candidates_fault(returned):
    """A NaN or a missing objective can't be ranked."""
    with pytest.raises(CandidateFault):
        measurements(returned, toy_spec(), complete=True)


def test_activity_sums_to_the_workers_age():
    """Busy, paused and idle are shares of the same time."""
    stats = WorkerStats()
    stats.spend(Stage.TRAIN, 3.0, 1.0)
    stats.running = lambda: (0.5, 0.25)

    activity = stats.activity_s

    assert (activity["busy"], activity["paused"]) == (2.5, 1.25)
    assert stats.snapshot()["seconds"] == {"train": 3.0}
