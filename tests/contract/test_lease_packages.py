"""Users' code and leases: a worker is offered only what it may run, and the public view says what is missing."""

from dataclasses import replace

import pytest
from database import Scene
from fakes_lease import MemoryLeaseStore
from users_scene import MODEL, spec_of
from workers_scene import info, recipe

from nasd.controller.able import serving
from nasd.domain.architecture import Architecture
from nasd.domain.history import Proposal
from nasd.domain.ids import LOCAL, LearnedSeq, TrialNumber
from nasd.domain.measurement import Stage
from nasd.ports.trials import NewEvaluation, NewTrial, Step

SPEC = spec_of("kitchen", MODEL, "cam.models:build")


@pytest.fixture
def kitchen(scene: Scene) -> Scene:
    """A study whose module comes from the package `cam`, with one training that waits."""
    study = scene.studies.create(SPEC, None)
    trial = NewTrial(
        number=TrialNumber(0),
        proposal=Proposal(Architecture.of("custom", {"x": 1}), "sample"),
        proposed_from=LearnedSeq(0),
        strategy="random",
        strategy_version="random-1",
        fidelity=4,
        seed=1,
        counts={},
        evaluations=(NewEvaluation(Stage.TRAIN, LOCAL, 0),),
    )
    scene.trials.apply(scene.epoch, Step(study=study, trials=(trial,)))
    return scene


@pytest.mark.parametrize(
    ("packages", "is_offered"), [((), False), (("other",), False), (("cam",), True), (("other", "cam"), True)]
)
def test_work_is_offered_to_workers_that_may_import_its_code(kitchen: Scene, packages, is_offered):
    """Through both ways to lease; and nothing is spent on the others."""
    worker = kitchen.leases.register(replace(info(Stage.TRAIN), packages=packages))

    lease = kitchen.leases.lease_next(worker)
    exchanged = kitchen.leases.exchange(worker, [], 4).leases

    assert (lease is not None) is is_offered
    assert list(exchanged) == []
    assert kitchen.database.rows("select attempt from nasd_core.evaluation") == [(int(is_offered),)]


def test_the_view_says_how_to_start_a_worker_that_may(kitchen: Scene):
    """A study that waits for ever without a word is the worst of bugs to have."""
    kitchen.leases.register(replace(info(Stage.TRAIN), packages=("other",)))

    ((stall,),) = kitchen.database.rows("select stall from nasd.studies")

    assert stall == ("stalled: 1 evaluation waits for a worker on local that may run its code: nasd worker --allow cam")


def test_a_worker_that_may_not_is_not_counted_on(kitchen: Scene):
    """Proposals ahead of workers that never come would see nothing of the history."""
    for name, packages in (("a", ()), ("b", ("cam",))):
        kitchen.leases.register(replace(info(Stage.TRAIN, name=name), packages=packages))

    assert [worker.name for worker in serving(SPEC, kitchen.trials.workers())] == ["b"]


def test_the_fake_obeys_the_same_law():
    """Tests of workers rest on it."""
    store = MemoryLeaseStore()
    store.add(store.add_study(recipe("nothing")))

    assert store.lease_next(store.register(replace(info(), packages=()))) is None
    assert store.lease_next(store.register(info())) is not None
