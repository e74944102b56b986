"""Laws of the lease: who may report on what, and what becomes of late, lost, repeated and refused results."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psycopg
import pytest
from database import Scene, completed

from nasd.domain.measurement import Measurement, Outcome, OutcomeKind, Stage
from nasd.errors import LeaseLost, Unavailable
from nasd.ports.lease import Directive
from nasd.store.connect import DatabaseAway
from nasd.store.leases import PgLeaseStore

UNIT = {Stage.TRAIN: ("val_error", "fraction"), Stage.MEASURE: ("latency_ms", "ms")}


def latency(value: float = 1.0) -> Outcome:
    return completed(value, name="latency_ms", unit="ms")


def test_the_dearer_stage_is_leased_after_the_cheaper(scene: Scene):
    """Cheap before dear: a broken latency limit is found before a training is paid for."""
    scene.trial(scene.study())
    worker = scene.worker()

    stages = [lease.stage for lease in (scene.leases.lease_next(worker), scene.leases.lease_next(worker)) if lease]

    assert stages == [Stage.MEASURE, Stage.TRAIN]
    assert scene.leases.lease_next(worker) is None


def test_an_evaluation_is_leased_to_one_worker(scene: Scene):
    """Twenty workers that ask at once get twenty different evaluations."""
    study = scene.study()
    for number in range(20):
        scene.trial(study, number, stages=(Stage.TRAIN,))
    stores = [PgLeaseStore(scene.database.worker, duration_s=30) for _ in range(8)]
    workers = [scene.worker(f"w{i}") for i in range(8)]

    def take_all(i: int) -> list[int]:
        leases = iter(lambda: stores[i].lease_next(workers[i]), None)
        return [lease.evaluation_id for lease in leases]

    with ThreadPoolExecutor(8) as pool:
        taken = [e for some in pool.map(take_all, range(8)) for e in some]
    for store in stores:
        store.close()

    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 20


def test_late_result_of_a_reaped_attempt_is_refused(scene: Scene):
    """A worker that slept through its lease must not overwrite the attempt that replaced it."""
    scene.trial(scene.study(), stages=(Stage.TRAIN,))
    worker = scene.worker()
    stale = scene.leases.lease_next(worker)
    assert scene.expire_all() == 1
    fresh = scene.leases.lease_next(worker)

    with pytest.raises(LeaseLost):
        scene.leases.finish(stale, completed(0.9))
    scene.leases.finish(fresh, completed(0.1))

    assert fresh.attempt == stale.attempt + 1
    assert scene.database.rows("select value, status from measurements order by status") == [
        (0.1, "current"),
        (0.9, "superseded"),
    ]


def test_late_result_is_welcome_while_nobody_else_has_the_work(scene: Scene):
    """It is paid for: throwing it away would train the same network again."""
    scene.trial(scene.study(), stages=(Stage.TRAIN,))
    late = scene.leases.lease_next(scene.worker())
    scene.expire_all()

    scene.leases.finish(late, completed(0.2))

    assert scene.states() == {"train": "completed"}
    assert scene.database.rows("select state, val_error from trials") == [("completed", 0.2)]


def test_a_result_reported_twice_is_stored_once(scene: Scene):
    """The answer to a first report may be lost; the worker asks again and must not be refused."""
    scene.trial(scene.study(), stages=(Stage.TRAIN,))
    lease = scene.leases.lease_next(scene.worker())
    scene.leases.finish(lease, completed(0.2))

    scene.leases.finish(lease, completed(0.2))

    assert scene.database.rows("select count(*) from measurements") == [(1,)]


def test_giving_back_spends_no_attempt(scene: Scene):
    """Pre-emption is not failure: a worker may be stopped a hundred times."""
    scene.trial(scene.study(), stages=(Stage.TRAIN,))
    worker = scene.worker()
    for _ in range(5):
        scene.leases.give_back(scene.leases.lease_next(worker))

    assert scene.database.rows("select state, attempt, spent from nasd_core.evaluation") == [("queued", 5, 0)]
    assert scene.database.rows("select state from trials") == [("queued",)]


def test_the_worlds_fault_is_retried_until_attempts_are_spent(scene: Scene):
    """Then the trial is FAILED, which teaches nothing about the architecture."""
    scene.trial(scene.study(), stages=(Stage.MEASURE, Stage.TRAIN))
    worker = scene.worker(stages=(Stage.TRAIN,))
    failure = Outcome(kind=OutcomeKind.FAILED, reason="child_killed", message="killed from outside")
    for _ in range(3):
        scene.leases.finish(scene.leases.lease_next(worker), failure)

    assert scene.leases.lease_next(worker) is None
    assert scene.states() == {"measure": "cancelled", "train": "failed"}
    assert scene.database.rows("select state, reason from trials") == [("failed", "child_killed")]


def test_an_infeasible_sibling_cancels_the_rest(scene: Scene):
    """A network that is too slow for the board is not trained; the worker that trains it is told to stop."""
    scene.trial(scene.study())
    worker = scene.worker()
    measure, train = scene.leases.lease_next(worker), scene.leases.lease_next(worker)
    outcome = Outcome(
        kind=OutcomeKind.INFEASIBLE,
        reason="over_limit",
        violation=0.5,
        measurements=(Measurement(name="latency_ms", value=30.0, unit="ms"),),
    )

    scene.leases.finish(measure, outcome)

    assert scene.leases.renew(train, {}) is Directive.ABANDON
    with pytest.raises(LeaseLost):
        scene.leases.finish(train, completed())
    assert scene.states() == {"measure": "infeasible", "train": "cancelled"}
    assert scene.database.rows("select state, violation, latency_ms, reason from trials") == [
        ("infeasible", 0.5, 30.0, "over_limit")
    ]


def test_a_trial_completes_with_its_last_evaluation(scene: Scene):
    """And only then waits to be learned."""
    study = scene.study()
    scene.trial(study)
    worker = scene.worker()
    measure, train = scene.leases.lease_next(worker), scene.leases.lease_next(worker)
    scene.leases.finish(train, completed(0.1))
    before = scene.trials.finished(study, 10)
    scene.leases.finish(measure, latency(2.5))
    (after,) = scene.trials.finished(study, 10)

    assert before == []
    assert dict(after.values) == {"val_error": 0.1, "latency_ms": 2.5, "params": 10, "flops": 20}


def test_siblings_that_finish_together_do_not_deadlock(scene: Scene, wait_until):
    """Storing a measurement holds the trial's key; folding its state must not ask for more than a sibling leaves."""
    scene.trial(scene.study())
    kinds = (Stage.MEASURE, Stage.TRAIN)
    stores = [PgLeaseStore(scene.database.worker, duration_s=30) for _ in kinds]
    workers = [scene.worker(stage, stages=(stage,)) for stage in kinds]
    leases = [store.lease_next(worker) for store, worker in zip(stores, workers, strict=True)]
    outcomes = [latency(), completed()]
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with ThreadPoolExecutor(2) as pool, psycopg.connect(scene.database.admin) as holder:
        holder.execute("select from nasd_core.trial for no key update")
        finishing = [pool.submit(store.finish, *work) for store, *work in zip(stores, leases, outcomes, strict=True)]
        wait_until(lambda: scene.database.rows(waiting) == [(2,)], what="both siblings waiting for the trial")
        holder.rollback()
        results = [future.exception(timeout=20) for future in finishing]
    for store in stores:
        store.close()

    assert results == [None, None]
    assert scene.database.rows("select state from trials") == [("completed",)]


def test_renewing_moves_the_counter_the_reaper_watches(scene: Scene):
    """Expiry is judged by standing still: a lease that moved since it was seen is not taken back."""
    scene.trial(scene.study(), stages=(Stage.TRAIN,))
    lease = scene.leases.lease_next(scene.worker())
    seen = scene.trials.open_leases()
    assert scene.leases.renew(lease, {"step": 3}) is Directive.CARRY_ON

    assert scene.trials.expire(scene.epoch, seen, spend_attempt=True) == 0
    assert scene.database.rows("select progress from evaluations") == [({"step": 3},)]


def test_an_expiry_while_the_database_was_away_spends_no_attempt(scene: Scene):
    scene.trial(scene.study(), stages=(Stage.TRAIN,))
    scene.leases.lease_next(scene.worker())

    scene.trials.expire(scene.epoch, scene.trials.open_leases(), spend_attempt=False)

    assert scene.database.rows("select state, spent from nasd_core.evaluation") == [("queued", 0)]


def test_a_worker_is_given_only_what_it_can_and_may_do(scene: Scene):
    """Stages, device kind and studies restrict; another study's work stays where it is."""
    scene.trial(scene.study("mine"), stages=(Stage.TRAIN,))

    assert scene.leases.lease_next(scene.worker(stages=(Stage.MEASURE,))) is None
    assert scene.leases.lease_next(scene.worker(studies=("other",))) is None
    assert scene.leases.lease_next(scene.worker(studies=("mine",))) is not None


def test_a_paused_study_goes_on_with_what_is_queued_and_a_stopped_one_does_not(scene: Scene):
    study = scene.study()
    scene.trial(study, 0, stages=(Stage.TRAIN,))
    scene.trial(study, 1, stages=(Stage.TRAIN,))
    worker = scene.worker()
    scene.studies.pause("study")
    lease = scene.leases.lease_next(worker)
    scene.studies.stop("study")

    assert lease is not None
    assert scene.leases.lease_next(worker) is None
    with pytest.raises(LeaseLost):
        scene.leases.finish(lease, completed())
    assert scene.database.rows("select distinct state from trials") == [("cancelled",)]


def test_a_revoked_worker_is_refused(scene: Scene):
    worker = scene.worker()
    scene.database.rows("update nasd_core.worker set is_revoked = true")

    with pytest.raises(Unavailable, match="revoked"):
        scene.leases.lease_next(worker)


def test_a_worker_of_another_protocol_is_refused(scene: Scene):
    with pytest.raises(Unavailable, match="protocol"):
        scene.leases._value("select nasd_api.register_v1(%s)", '{"protocol": 99, "name": "w", "host": "h"}')


def test_an_exchange_reports_and_leases_at_once(scene: Scene):
    """Very short evaluations: one commit for several results and the next work; a stale one among them is refused."""
    study = scene.study()
    for number in range(6):
        scene.trial(study, number, stages=(Stage.TRAIN,))
    worker = scene.worker()
    first = scene.leases.exchange(worker, [], 3)
    stale = first.leases[0]
    scene.expire_all()
    again = scene.leases.exchange(worker, [], 1).leases[0]

    exchanged = scene.leases.exchange(worker, [(lease, completed()) for lease in first.leases], 10)

    assert [lease.trial_number for lease in first.leases] == [0, 1, 2]
    assert again.evaluation_id == stale.evaluation_id
    assert exchanged.refused == (stale,)
    assert [lease.trial_number for lease in exchanged.leases] == [3, 4, 5]
    assert scene.database.rows("select trial, state from trials where trial < 3 order by 1") == [
        (0, "running"),
        (1, "completed"),
        (2, "completed"),
    ]


def test_a_repeated_exchange_stores_nothing_twice(scene: Scene):
    """The answer to a first one may be lost with the connection."""
    scene.trial(scene.study(), stages=(Stage.TRAIN,))
    worker = scene.worker()
    (lease,) = scene.leases.exchange(worker, [], 5).leases
    scene.leases.exchange(worker, [(lease, completed())], 0)

    assert scene.leases.exchange(worker, [(lease, completed())], 0).refused == ()
    assert scene.database.rows("select count(*) from measurements") == [(1,)]


def test_only_completed_results_are_exchanged(scene: Scene):
    """Others may end their siblings' leases, which needs an order of locks of its own."""
    scene.trial(scene.study(), stages=(Stage.TRAIN,))
    worker = scene.worker()
    (lease,) = scene.leases.exchange(worker, [], 5).leases

    with pytest.raises(psycopg.DatabaseError, match="only completed"):
        scene.leases.exchange(worker, [(lease, Outcome(OutcomeKind.INFEASIBLE, reason="diverged"))], 0)


def test_bundles_that_share_trials_never_wait_in_a_circle(scene: Scene):
    """Workers exchange results of each other's trials, a reaper expires, candidates fail: all at the same time."""
    study = scene.study()
    for number in range(60):
        scene.trial(study, number)
    waits = "select deadlocks from pg_stat_database where datname = current_database()"

    def work(seed: int) -> list[str]:
        rng, store = np.random.default_rng(seed), PgLeaseStore(scene.database.worker, duration_s=30, backoff_s=0.0)
        worker, finished, errors = scene.worker(f"w{seed}"), [], []
        for _ in range(40):
            try:
                leases = store.exchange(worker, finished, int(rng.integers(1, 8))).leases
                finished = [(lease, completed(0.1, *UNIT[lease.stage])) for lease in leases]
                if finished and rng.random() < 0.2:
                    store.finish(finished.pop(0)[0], Outcome(OutcomeKind.INFEASIBLE, reason="diverged"))
            except LeaseLost:
                continue
            except DatabaseAway as error:
                errors.append(str(error))
        store.exchange(worker, finished, 0)
        store.close()
        return errors

    with ThreadPoolExecutor(6) as pool:
        working = [pool.submit(work, seed) for seed in range(5)]
        while not all(future.done() for future in working):
            scene.expire_all()
        errors = [error for future in working for error in future.result()]

    assert errors == []
    assert scene.database.rows(waits) == [(0,)]
    assert scene.database.rows("select count(*) from nasd_core.lease") == [(0,)]
