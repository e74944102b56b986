"""What tests of devices share: a home that listens on this machine's loopback, and what a device does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psycopg

from nasd.app import devices
from nasd.app.devices import Added
from nasd.cli.device import standing
from nasd.config import Settings
from nasd.domain.architecture import Architecture
from nasd.domain.history import Proposal
from nasd.domain.ids import DeviceKind, LearnedSeq, TrialNumber
from nasd.domain.measurement import Stage
from nasd.domain.study import BudgetSpec, ObjectiveSpec, StudySpec
from nasd.ports.lease import WorkerInfo
from nasd.ports.trials import NewEvaluation, NewTrial, Step
from nasd.services import Services, attach, listening_of, up
from nasd.services.listening import Listening
from nasd.store.leadership import PgLeadership
from nasd.store.leases import PgLeaseStore
from nasd.store.studies import PgStudies
from nasd.store.trials import PgTrialStore
from workers.joining import Joined, join

PROGRAM = Path(sys.executable).with_name("nasd")


@dataclass
class DeviceScene:
    """A home whose services listen, and folders of devices beside it."""

    home: Path
    folder: Path
    services: Services
    n_devices: int = 0
    stores: list[PgLeaseStore] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    @property
    def listening(self) -> Listening:
        found = listening_of(self.home)
        assert found is not None
        return found

    def add(self, name: str | None = None, kind: str = "pi5", *, valid_s: float = 3600.0) -> Added:
        self.n_devices += 1
        return devices.add(self.settings, name or f"board-{self.n_devices}", kind, address=None, valid_s=valid_s)

    def file(self, name: str) -> Path:
        """Where a device keeps its credentials."""
        return self.folder / name / "device.json"

    def joined(self, name: str | None = None, kind: str = "pi5") -> Joined:
        added = self.add(name, kind)
        return join(added.token, self.file(added.name))

    def store(self, joined: Joined) -> PgLeaseStore:
        """The device's side of the database."""
        store = PgLeaseStore(joined.database_url, duration_s=30.0, backoff_s=0.0)
        self.stores.append(store)
        return store

    def listed(self, name: str) -> dict[str, object]:
        """As `nasd device list --json` shows it."""
        with devices.devices(self.settings) as (known, _):
            row = known.find(name)
            assert row is not None
            state, why = standing(row)
            return asdict(row) | {"state": state, "why": why}

    def rows(self, query: str, *arguments: object) -> list[tuple]:
        with psycopg.connect(self.services.database_url("admin")) as connection:
            cursor = connection.execute(query, arguments)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        for store in self.stores:
            store.close()
        self.services.close()


def info(kind: str = "pi5", stages: Sequence[Stage] = (Stage.MEASURE,), host: str = "board") -> WorkerInfo:
    return WorkerInfo(name=f"{host}-1", host=host, device_kind=DeviceKind(kind), stages=tuple(stages))


def environment(**more: object) -> dict[str, str]:
    """This process's, without settings of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NASD_")}
    return kept | {name: str(value) for name, value in more.items()}


def nasd(*arguments: object, stdin: str | None = None, **variables: object) -> subprocess.CompletedProcess[str]:
    """The program as a user calls it."""
    return subprocess.run(
        [PROGRAM, *map(str, arguments)],
        env=environment(**variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def listening_scene(home: Path, folder: Path) -> Iterator[DeviceScene]:
    """The scene of a made home, its services listening and its schema made."""
    up(home, listen="127.0.0.1:0")
    found = DeviceScene(home, folder, attach(home))
    with devices.devices(found.settings):
        pass
    yield found
    found.close()


def two_measurements(scene: DeviceScene, study: str) -> None:
    """A study of that name with two measurements that wait for a pi5."""
    url = scene.services.database_url("controller")
    spec = StudySpec(name=study, objectives={"latency_ms": ObjectiveSpec(on=("pi5",))}, budget=BudgetSpec(trials=9))
    made = PgStudies(url).create(spec, None)
    trials, leadership = PgTrialStore(url, purpose="test", backoff_s=0.0), PgLeadership(url)
    [(before,)] = scene.rows("select epoch from nasd_core.leader")
    epoch = leadership.take("test", depose=before or None)
    assert epoch is not None
    trials.apply(epoch, Step(study=made, trials=tuple(_trial(number) for number in range(2))))
    trials.close()
    leadership.close()


def _trial(number: int) -> NewTrial:
    return NewTrial(
        number=TrialNumber(number),
        proposal=Proposal(architecture=Architecture.of("toy", {"n": number}), operator="sample"),
        proposed_from=LearnedSeq(0),
        strategy="random",
        strategy_version="random-1",
        fidelity=100,
        seed=number,
        counts={"params": 10},
        evaluations=(NewEvaluation(stage=Stage.MEASURE, device_kind=DeviceKind("pi5"), priority=10),),
        violation=0.0,
    )


@contextmanager
def running(*arguments: object, **variables: object) -> Iterator[subprocess.Popen[str]]:
    """The program beside the test; ended with it."""
    process = subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()
