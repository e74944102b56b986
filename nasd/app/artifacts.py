"""Keeping order among artifacts: how much room they take, and removing what nothing needs any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nasd.artifacts import open_archive
from nasd.artifacts.eviction import GRACE_S, to_evict
from nasd.config import Settings
from nasd.ports.artifacts import ArtifactArchive, Stored
from nasd.store import artifacts
from nasd.store.connect import Connection


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
