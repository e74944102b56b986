"""Controllers and workers as threads over one real database; evaluations are arithmetic."""

from __future__ import annotations

from functools import partial
from threading import Event, Thread

from database import Database
from fakes_trials import FakeCaches, FakeQueue
from fakes_world import World
from prometheus_client import CollectorRegistry
from toy_study import toy_parts, toy_values

from nasd.config import ControllerSettings
from nasd.daemon.controller import Controller, Outside
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import UNITS, Measurement, Outcome, OutcomeKind, Stage
from nasd.ports.lease import Lease, WorkerInfo
from nasd.store.fleet import PgFleetStore
from nasd.store.leadership import PgLeadership
from nasd.store.leases import PgLeaseStore
from nasd.store.listen import listen
from nasd.store.studies import PgStudies
from nasd.store.trials import PgTrialStore
from nasd.telemetry.controller import ControllerTelemetry

SETTINGS = ControllerSettings(poll_s=0.2, sweep_every_s=0.2, takeover_s=0.5)


class Search:
    """Controllers and workers as threads over one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.studies = PgStudies(database.controller)
        self.threads: list[tuple[Thread, Event]] = []

    def controller(self, holder: str = "one", settings: ControllerSettings = SETTINGS) -> Event:
        url, world = self.database.controller, World()
        outside = Outside(
            trials=lambda purpose: PgTrialStore(url, purpose=purpose),
            fleet=lambda purpose: PgFleetStore(url, purpose=purpose),
            leadership=lambda: PgLeadership(url),
            caches=lambda: FakeCaches(world),
            queue=lambda: FakeQueue(world),
            listen=partial(listen, url),
            telemetry=ControllerTelemetry(CollectorRegistry()),
            build_parts=toy_parts,
        )
        return self.start(Controller(outside, settings=settings, holder=holder).run)

    def worker(self, name: str, kind: DeviceKind = LOCAL, *stages: Stage, pause_s: float = 0.0) -> Event:
        """One that does `stages` (none given: all), each evaluation no sooner than after `pause_s`."""
        return self.start(partial(self._work, name, kind, stages or tuple(Stage), pause_s))

    def start(self, target) -> Event:
        stop = Event()
        thread = Thread(target=target, args=(stop,), daemon=True)
        self.threads.append((thread, stop))
        thread.start()
        return stop

    def end(self) -> None:
        for _, stop in self.threads:
            stop.set()
        for thread, _ in self.threads:
            thread.join(timeout=5)
            assert not thread.is_alive()

    def _work(self, name: str, kind: DeviceKind, stages: tuple[Stage, ...], pause_s: float, stop: Event) -> None:
        leases = PgLeaseStore(self.database.worker, duration_s=5.0)
        info = WorkerInfo(name=name, host=f"host-{kind}", device_kind=kind, stages=stages, offers=("torch-eager",))
        worker = leases.register(info)
        while not stop.is_set():
            leases.beat(worker, {})
            lease = leases.lease_next(worker)
            if lease is None:
                stop.wait(0.002)
            else:
                stop.wait(pause_s)
                leases.finish(lease, measured(lease))
        leases.leave(worker)
        leases.close()


def measured(lease: Lease) -> Outcome:
    """What the toy's device observes, by the names that workers report."""
    values = toy_values(lease.architecture, lease.stage, kind=lease.device_kind)
    named = {name.partition("@")[0]: value for name, value in values.items()}
    found = tuple(Measurement(name=name, value=value, unit=UNITS[name]) for name, value in named.items())
    return Outcome(kind=OutcomeKind.COMPLETED, measurements=found)
