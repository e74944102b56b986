"""Laws of reporting and leasing several evaluations at once: nobody waits for ever, whatever trials they share."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import psycopg
from database import Scene, completed

from nasd.domain.lifecycle import State, fold
from nasd.domain.measurement import Outcome, OutcomeKind, Stage
from nasd.errors import LeaseLost
from nasd.ports.lease import Lease
from nasd.store.leases import PgLeaseStore
from nasd.store.trials import PgTrialStore

Report = tuple[Lease, Outcome]
INFEASIBLE = Outcome(OutcomeKind.INFEASIBLE, reason="over_limit", violation=0.5)
FAILED = Outcome(OutcomeKind.FAILED, reason="internal", message="x")


def outcome_of(lease: Lease, value: float = 0.5) -> Outcome:
    if lease.stage is Stage.MEASURE:
        return completed(value, name="latency_ms", unit="ms")
    return completed(value)


def trials(scene: Scene, n: int, stages: tuple[Stage, ...] = (Stage.TRAIN,), name: str = "study") -> None:
    study = scene.study(name)
    for number in range(n):
        scene.trial(study, number, stages=stages)


class Chaos:
    """Workers, a reaper and an operator that do everything to the same trials at once."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.over = scene, Event()

    def work(self, seed: int) -> None:
        """Batches of siblings, shuffled; some are infeasible, fail, are given back, or are left to the reaper."""
        chance = random.Random(seed)
        store = PgLeaseStore(self.scene.database.worker, duration_s=30, backoff_s=0.0)
        worker = self.scene.worker(f"w{seed}", stages=list(Stage)[seed % 2 : seed % 2 + 1])  # others have the siblings
        reports: list[Report] = []
        while not self.over.is_set():
            exchange = store.exchange(worker, reports, chance.randint(4, 32))
            alone: list[Report] = []
            reports = []
            for lease in exchange.leases:
                fate = chance.random()
                if fate < 0.1:
                    alone.append((lease, INFEASIBLE if fate < 0.06 else FAILED))
                elif fate < 0.5:
                    store.give_back(lease)
                elif fate < 0.95:
                    reports.append((lease, outcome_of(lease, fate)))
            chance.shuffle(reports)
            for report in alone:
                try:
                    store.finish(*report)
                except LeaseLost:
                    continue
        store.close()

    def reap(self) -> None:
        """Expires whatever it sees, as if every worker stood still."""
        chance, epoch = random.Random(0), self.scene.epoch
        store = PgTrialStore(self.scene.database.controller, purpose="chaos", backoff_s=0.0)
        while not self.over.is_set():
            seen = store.open_leases()
            store.expire(epoch, [one for one in seen if chance.random() < 0.3], spend_attempt=chance.random() < 0.1)
        store.close()

    def hinder(self) -> None:
        """Holds one row at a time for a while: who wants it piles up, holding what it has."""
        chance = random.Random(0)
        with psycopg.connect(self.scene.database.admin) as connection:
            while not self.over.wait(0.001):
                table = chance.choice(("trial", "evaluation", "lease"))
                connection.execute(
                    f"select from nasd_core.{table} offset floor(random() * 60) limit 1 for no key update skip locked"
                )
                self.over.wait(0.01)
                connection.rollback()


def test_workers_reaper_and_operator_never_deadlock_over_siblings(scene: Scene, wait_until):
    """Postgres ends whoever would wait for ever, and its thread raises here; and every row agrees with the others."""
    trials(scene, 60, (Stage.MEASURE, Stage.TRAIN))
    trials(scene, 30, (Stage.MEASURE, Stage.TRAIN), name="doomed")
    chaos = Chaos(scene)
    n_open = "select count(*) from nasd_core.evaluation where state in ('queued', 'running')"
    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(chaos.work, seed) for seed in range(4)] + [
            pool.submit(chaos.reap),
            pool.submit(chaos.hinder),
        ]
        try:
            wait_until(lambda: scene.database.rows(n_open)[0][0] < 150, what="the middle of it")
            scene.studies.stop("doomed")
            wait_until(
                lambda: scene.database.rows(n_open) == [(0,)] or any(one.done() for one in running), what="the end"
            )
        finally:
            chaos.over.set()
        assert [one.exception(timeout=30) for one in running] == [None] * 6

    _assert_rows_agree(scene)


def _assert_rows_agree(scene: Scene) -> None:
    rows = scene.database.rows
    assert rows("select count(*) from nasd_core.lease") == [(0,)]
    by_trial = (
        "select t.state, array_agg(e.state) from nasd_core.trial as t join nasd_core.evaluation as e {} group by t.id"
    )
    for state, states in rows(by_trial.format("on e.trial_id = t.id")):
        assert State(state) is fold(State(one) for one in states)
    current = "select count(*) from nasd_core.measurement as m where m.evaluation_id = e.id and m.status = 'current'"
    assert rows(f"select id from nasd_core.evaluation as e where ({current}) <> (state = 'completed')::int") == []
    assert rows("select count(*) from nasd_core.attempt where ended_how is null") == [(0,)]
    assert rows("select count(*) from nasd_core.trial where pending is distinct from 'result'") == [(0,)]
