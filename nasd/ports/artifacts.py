"""ArtifactStore: where artifacts lie, each under the hash of its content. The hash is the name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class ArtifactStore(Protocol):
    """What a worker may do.

    Laws: a file is there whole or not at all; putting one that is there changes nothing but its age; what `get` leaves
    behind has the hash that was asked for, or `into` is as it was.
    """

    def put(self, path: Path) -> tuple[str, int]:
        """Store a file: (its SHA-256, its bytes).

        Raises:
            ArtifactsAway, ArtifactsFull: it is not stored.
        """
        ...

    def get(self, sha256: str, into: Path) -> None:
        """Write the file of that hash to the path `into`, whole or not at all.

        Raises:
            ArtifactMissing, ArtifactCorrupt, ArtifactsAway: as they say.
        """
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """One file of an archive; `at`: seconds since the epoch when it was put last."""

    sha256: str
    n_bytes: int
    at: float


class ArtifactArchive(ArtifactStore, Protocol):
    """The same for who keeps order in it."""

    def stored(self) -> Iterator[Stored]:
        """All there is, in no order.

        Raises:
            ArtifactsAway: it can't be listed.
        """
        ...

    def total_bytes(self) -> int:
        """Of all there is."""
        ...

    def delete(self, sha256: str) -> None:
        """Remove one; nothing where it is gone."""
        ...
