"""Databases for tests: one migrated template a session, one copy a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import psycopg

from nasd.domain.architecture import Architecture
from nasd.domain.history import Proposal
from nasd.domain.ids import LOCAL, LearnedSeq, StudyId, TrialNumber, WorkerId
from nasd.domain.measurement import Measurement, Outcome, OutcomeKind, Stage
from nasd.domain.study import BudgetSpec, ObjectiveSpec, StudySpec
from nasd.ports.lease import WorkerInfo
from nasd.ports.trials import NewEvaluation, NewTrial, Step
from nasd.store import migrate
from nasd.store.leadership import PgLeadership
from nasd.store.leases import PgLeaseStore
from nasd.store.studies import PgStudies
from nasd.store.trials import PgTrialStore

_names = count()


def at_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@dataclass(frozen=True)
class Database:
    """URLs of one test's own database, as each role."""

    admin: str
    controller: str
    worker: str
    reader: str

    def rows(self, query: str, *arguments: object) -> list[tuple]:
        """What the owner sees."""
        with psycopg.connect(self.admin) as connection:
            cursor = connection.execute(query, arguments)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def template(admin_url: str, passwords: dict[str, str]) -> Iterator[str]:
    """A migrated database to copy; its name."""
    name = "nasd_test_template"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {name} with (force)")
        connection.execute(f"create database {name}")
    migrate.upgrade(at_database(admin_url, name), role_prefix="nasd")
    migrate.set_passwords(admin_url, passwords)
    yield name


@contextmanager
def copy_of(name: str, admin_url: str, urls: dict[str, str]) -> Iterator[Database]:
    """A fresh copy of the template, dropped afterwards."""
    fresh = f"nasd_test_{next(_names)}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {fresh} with (force)")
        connection.execute(f"create database {fresh} template {name}")
        connection.execute(f"alter database {fresh} set search_path = nasd, public")
    yield Database(admin=at_database(admin_url, fresh), **{role: at_database(url, fresh) for role, url in urls.items()})
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {fresh} with (force)")


class Scene:
    """A study with trials and workers, made through the real stores."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.trials = PgTrialStore(database.controller, purpose="test", backoff_s=0.0)
        self.leadership = PgLeadership(database.controller)
        self.leases = PgLeaseStore(database.worker, duration_s=30.0, backoff_s=0.0)
        self.studies = PgStudies(database.controller)
        epoch = self.leadership.take("test", depose=None)
        assert epoch is not None
        self.epoch = epoch

    def study(self, name: str = "study") -> StudyId:
        spec = StudySpec(
            name=name,
            objectives={
                "val_error": ObjectiveSpec(),
                "latency_ms": ObjectiveSpec(on=("local",)),
                "params": ObjectiveSpec(),
            },
            budget=BudgetSpec(trials=10),
        )
        return self.studies.create(spec, None)

    def trial(
        self,
        study: StudyId,
        number: int = 0,
        *,
        stages: tuple[Stage, ...] = (Stage.MEASURE, Stage.TRAIN),
        violation: float = 0.0,
    ) -> None:
        evaluations = tuple(
            NewEvaluation(stage=stage, device_kind=LOCAL, priority=10 if stage is Stage.MEASURE else 0)
            for stage in stages
        )
        proposal = Proposal(architecture=Architecture.of("toy", {"n": number}), operator="sample")
        trial = NewTrial(
            number=TrialNumber(number),
            proposal=proposal,
            proposed_from=LearnedSeq(0),
            strategy="random",
            strategy_version="random-1",
            fidelity=100,
            seed=number,
            counts={"params": 10 + number, "flops": 20},
            evaluations=evaluations,
            violation=violation,
        )
        self.trials.apply(self.epoch, Step(study=study, trials=(trial,)))

    def worker(
        self, name: str = "w", stages: tuple[Stage, ...] = tuple(Stage), studies: tuple[str, ...] = ()
    ) -> WorkerId:
        info = WorkerInfo(name=name, host="host", device_kind=LOCAL, stages=stages, studies=studies)
        return self.leases.register(info)

    def expire_all(self) -> int:
        """As the reaper does when leases stood still."""
        return self.trials.expire(self.epoch, self.trials.open_leases(), spend_attempt=True)

    def states(self) -> dict[str, str]:
        """Evaluation states by stage, of the only trial."""
        return dict(self.database.rows("select stage, state from nasd_core.evaluation"))


def completed(value: float = 0.1, name: str = "val_error", unit: str = "fraction") -> Outcome:
    """A result with one measurement."""
    return Outcome(kind=OutcomeKind.COMPLETED, measurements=(Measurement(name=name, value=value, unit=unit),))
