"""Recipes are fetched once, and again where a device kind may have joined their study."""

from dataclasses import replace

import pytest

from nasd.domain.architecture import Architecture
from nasd.domain.ids import ANYWHERE, LOCAL, DeviceKind, EvaluationId, StudyId, TrialNumber, WorkerId
from nasd.domain.measurement import Stage
from nasd.domain.study import BudgetSpec, ObjectiveSpec, StudySpec, TrainSpec
from nasd.ports.lease import Lease
from nasd.studyfile import spec_to_json
from workers.recipes import RecipeBook
from workers.stop import Stop

PI5 = DeviceKind("pi5")
LEASE = Lease(
    evaluation_id=EvaluationId(1),
    token="t",
    attempt=1,
    duration_s=30.0,
    study_id=StudyId(1),
    study_name="s",
    trial_number=TrialNumber(0),
    stage=Stage.MEASURE,
    device_kind=LOCAL,
    replicate=0,
    seed=1,
    fidelity=0,
    architecture=Architecture.of("toy", {"n": 1}),
)


class Store:
    """The one question that the book asks; the first answer is lost where `is_away`."""

    def __init__(self, *kinds: str, is_away: bool = False) -> None:
        self.kinds, self.is_away, self.n_asked = list(kinds), is_away, 0

    def recipe(self, _worker: WorkerId, _study: StudyId) -> dict[str, object]:
        self.n_asked += 1
        if self.is_away and self.n_asked == 1:
            raise OSError("gone")
        spec = StudySpec(
            name="s",
            objectives={"latency_ms": ObjectiveSpec(on=tuple(self.kinds))},
            train=TrainSpec(time_limit_s=9.0),
            budget=BudgetSpec(trials=1),
        )
        return {"spec": spec_to_json(spec), "data": None}


def book(store: Store) -> RecipeBook:
    return RecipeBook(store, WorkerId(1), Stop())  # type: ignore[arg-type]


def test_a_study_is_asked_for_once():
    """Thousands of short evaluations of one study must not cost a question each."""
    store = Store(LOCAL)
    kept = book(store)

    assert all(kept.of(lease) is kept.of(LEASE) for lease in (LEASE, replace(LEASE, stage=Stage.TRAIN)))
    assert store.n_asked == 1
    assert kept.limit_s(replace(LEASE, stage=Stage.TRAIN)) == 9.0
    assert kept.limit_s(LEASE) is None


@pytest.mark.parametrize(
    "lease", [replace(LEASE, device_kind=PI5), replace(LEASE, stage=Stage.EXPORT, device_kind=ANYWHERE)]
)
def test_a_kind_that_joined_is_seen(lease: Lease):
    """With the old recipe its networks would run under the wrong settings, or get no file."""
    store = Store(LOCAL)
    kept = book(store)
    before = kept.of(LEASE)
    store.kinds.append(PI5)

    after = kept.of(lease)

    assert after != before
    assert kept.of(LEASE) is after


def test_what_says_the_same_stays_the_same_object():
    """The evaluating child is told a recipe when it is another one."""
    kept = book(Store(LOCAL))
    lease = replace(LEASE, stage=Stage.EXPORT)

    assert kept.of(lease) is kept.of(lease)


def test_a_lost_store_is_waited_for_and_leaving_is_not():
    """The lease is being renewed meanwhile; a worker that is to leave leaves."""
    assert book(Store(LOCAL, is_away=True)).of(LEASE) is not None
    leaving = Stop()
    leaving.request()

    assert RecipeBook(Store(LOCAL, is_away=True), WorkerId(1), leaving).of(LEASE) is None  # type: ignore[arg-type]
