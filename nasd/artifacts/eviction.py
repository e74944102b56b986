"""Eviction: what goes when an archive is nearly full. Which artifacts are needed is told; here is only the order."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from nasd.ports.artifacts import ArtifactArchive, Stored

GRACE_S = 3600.0  # a file is put a while before the row that names it is stored


def to_evict(
    stored: Iterable[Stored], *, keep: Collection[str], down_to_bytes: int, older_than: float
) -> tuple[Stored, ...]:
    """The oldest, until `down_to_bytes` are left or only needed ones.

    Args:
        stored: all of an archive.
        keep: hashes of what is needed: on a front, leased, or awaited by an evaluation.
        down_to_bytes: 0 takes all that is not needed.
        older_than: seconds since the epoch; what was put later stays, needed or not yet known to be.
    """
    found = sorted(stored, key=lambda one: (one.at, one.sha256))
    left_bytes = sum(one.n_bytes for one in found)
    gone = []
    for one in found:
        if left_bytes <= down_to_bytes:
            break
        if one.sha256 not in keep and one.at < older_than:
            left_bytes -= one.n_bytes
            gone.append(one)
    return tuple(gone)


def evict(
    archive: ArtifactArchive, *, keep: Collection[str], down_to_bytes: int, older_than: float
) -> tuple[Stored, ...]:
    """Remove what `to_evict` chooses, and say what that was."""
    gone = to_evict(archive.stored(), keep=keep, down_to_bytes=down_to_bytes, older_than=older_than)
    for one in gone:
        archive.delete(one.sha256)
    return gone
