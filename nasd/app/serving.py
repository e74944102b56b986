"""A worker's composition: which services it serves, as which device, and what it registers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nasd.app.endpoints import find_home, is_external, resolve
from nasd.config import Settings
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import Stage
from nasd.errors import SettingsError, UserError
from nasd.store.leases import PgLeaseStore
from workers.devices import worker_info
from workers.joining import Joined, credentials_file, joined, load
from workers.serving import serve


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says. `None` is: not given."""

    kind: str | None = None
    stages: tuple[Stage, ...] | None = None
    studies: tuple[str, ...] = ()
    once: bool = False
    home: Path | None = None
    device: Path | None = None


def work(settings: Settings, asked: Asked) -> int:
    """Be a worker until told to leave; the exit code.

    Raises:
        UserError: there are no services, or they refuse this worker.
    """
    found = None if asked.home is not None or is_external(settings) else _device(settings, asked.device)
    if found is not None:
        return _serve(
            found.settings(settings), found.database_url, found.redis_url, found.kind_unless(asked.kind), asked
        )
    place = asked.home or find_home(settings, Path.cwd())
    with resolve(settings, place) as endpoints:
        kind = DeviceKind(asked.kind or LOCAL)
        settings = settings.model_copy(update={"home": place})
        return _serve(settings, endpoints.database["worker"], endpoints.redis["worker"], kind, asked)


def _device(settings: Settings, given: Path | None) -> Joined | None:
    """The device that this machine is; None: it is none, or an embedded pair near this folder is meant."""
    file = credentials_file(settings, given)
    if given is not None or settings.join is not None:
        found = joined(settings, file)
        if found is None:
            raise SettingsError(f"--device {file}: no such file. This machine has not joined: nasd worker join TOKEN")
        return found
    if settings.home is None:
        try:
            find_home(settings, Path.cwd())
        except UserError:
            return load(file)
        return None
    return load(file)


def _serve(settings: Settings, database: str, redis: str | None, kind: DeviceKind, asked: Asked) -> int:
    info = worker_info(
        kind,
        stages=asked.stages,
        studies=asked.studies,
        packages=settings.worker.allow,
        memory_limit_mib=settings.worker.memory_limit_mib,
    )
    store = PgLeaseStore(database, duration_s=settings.lease.duration_s, backoff_s=settings.lease.backoff_s)
    try:
        return serve(store, redis, info, settings, once=asked.once)
    finally:
        store.close()
