"""Keeping order among artifacts: how much room they take, removing what nothing needs, serving them to devices."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from nasd.app.endpoints import Endpoints
from nasd.artifacts import open_archive
from nasd.artifacts.endpoint import ArtifactEndpoint, by_digests
from nasd.artifacts.eviction import GRACE_S, to_evict
from nasd.config import Settings
from nasd.errors import SettingsError
from nasd.ports.artifacts import ArtifactArchive, Stored
from nasd.ports.clock import SystemClock
from nasd.services import publish_artifacts, withdraw_artifacts
from nasd.store import artifacts
from nasd.store.connect import Connection
from nasd.store.devices import PgDevices

_FULL, _ROOMY = 0.9, 0.75  # shares of the quota: above the first it is brought down to the second


@dataclass(frozen=True, slots=True)
class Room:
    """What an archive holds, and what of it a front or an evaluation needs."""

    n: int
    n_bytes: int
    n_needed: int
    needed_bytes: int


def archive_of(settings: Settings, home: Path) -> ArtifactArchive:
    """The archive of this process's settings.

    Raises:
        SettingsError: NASD_ARTIFACTS_URL is another machine's endpoint, or no address.
    """
    return open_archive(settings.artifacts_url, home, quota_bytes=settings.artifacts_quota_mib << 20)


def room(settings: Settings, home: Path, connection: Connection) -> Room:
    """Counted now."""
    needed = artifacts.needed(connection)
    found = list(archive_of(settings, home).stored())
    kept = [one for one in found if one.sha256 in needed]
    return Room(len(found), sum(one.n_bytes for one in found), len(kept), sum(one.n_bytes for one in kept))


def tidy(
    settings: Settings, home: Path, connection: Connection, *, now: datetime, down_to_bytes: int
) -> tuple[Stored, ...]:
    """Remove artifacts that nothing needs until `down_to_bytes` are left: their rows first, then the files.

    A trial whose file is gone and that is to be measured on another device is exported again.

    Args:
        connection: as the controller.
        now: what was stored within the last hour stays: its row may not be there yet.
        down_to_bytes: oldest first, until so many are left.
    """
    archive = archive_of(settings, home)
    chosen = to_evict(
        archive.stored(),
        keep=artifacts.needed(connection),
        down_to_bytes=down_to_bytes,
        older_than=now.timestamp() - GRACE_S,
    )
    gone = artifacts.forget(connection, [one.sha256 for one in chosen])
    for one in chosen:
        if one.sha256 in gone:
            archive.delete(one.sha256)
    return tuple(one for one in chosen if one.sha256 in gone)


def make_room(settings: Settings, endpoints: Endpoints) -> int:
    """Tidy up where the archive is nearly full; how many artifacts were removed.

    An archive that is another machine's is that one's to tidy.
    """
    quota = settings.artifacts_quota_mib << 20
    try:
        archive = archive_of(settings, endpoints.home)
    except SettingsError:
        return 0
    if archive.total_bytes() <= _FULL * quota:
        return 0
    with psycopg.connect(endpoints.database["controller"]) as connection:
        now, goal = SystemClock().now(), int(_ROOMY * quota)
        return len(tidy(settings, endpoints.home, connection, now=now, down_to_bytes=goal))


@contextmanager
def served(settings: Settings, endpoints: Endpoints) -> Iterator[None]:
    """Let devices that can see nothing else fetch and bring artifacts through this process meanwhile.

    On this machine alone, behind the door of the embedded pair; with given services where `NASD_ARTIFACTS_LISTEN`
    says. Devices show the token that they joined with, other workers `NASD_ARTIFACTS_TOKEN`.

    Raises:
        SettingsError: the address can't be had.
    """
    has_pair = (endpoints.home / "secrets").is_dir()  # `nasd run` tells its controller the pair's URLs as given ones
    if not has_pair and settings.artifacts_listen is None:
        yield
        return
    host, _, port = (settings.artifacts_listen or "127.0.0.1:0").rpartition(":")
    devices = PgDevices(endpoints.database["controller"])
    shared = settings.artifacts_token
    known = {hashlib.sha256(shared.encode()).hexdigest()} if shared else set()
    try:
        archive = archive_of(settings, endpoints.home)
    except SettingsError:  # another machine's endpoint: devices are to go there
        yield
        return
    endpoint = ArtifactEndpoint(
        archive, by_digests(lambda: known | set(devices.artifact_digests())), host=host, port=int(port)
    )
    if has_pair:
        publish_artifacts(endpoints.home, endpoint.port)
    try:
        yield
    finally:
        if has_pair:
            withdraw_artifacts(endpoints.home, endpoint.port)
        endpoint.close()
