"""A folder as an artifact store: `ab/abcd...`, written atomically, verified when read."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from nasd.artifacts.hashing import PART, Quota, chunks, is_name, sha256_of, whole, write_checked
from nasd.errors import ArtifactMissing, ArtifactsAway, ArtifactsFull
from nasd.ports.artifacts import Stored

_ABANDONED_S = 86_400.0  # after which what was half written counts as left by a crash


class DirectoryStore:
    """Shared by any number of processes that see the folder."""

    def __init__(self, folder: Path, *, quota_bytes: int) -> None:
        """Nothing is made before the first file is put."""
        self._folder = folder
        self._quota = Quota(quota_bytes, self.total_bytes)

    def put(self, path: Path) -> tuple[str, int]:
        with self._translated():
            sha256, n_bytes = sha256_of(path)
            into = self._path(sha256)
            if into.is_file() and into.stat().st_size == n_bytes:
                os.utime(into)  # young again: an eviction that began before must not take it
                return sha256, n_bytes
            if not self._quota.has_room(n_bytes):
                raise ArtifactsFull(str(self._folder), self._quota.refusal(n_bytes))
            digest = hashlib.sha256()
            with whole(into, mode=0o644) as file, path.open("rb") as source:
                for chunk in chunks(source):
                    digest.update(chunk)
                    file.write(chunk)
                if digest.hexdigest() != sha256:
                    raise ArtifactsAway(str(self._folder), f"{path} was written to while it was stored")
            self._quota.note(n_bytes)
            return sha256, n_bytes

    def get(self, sha256: str, into: Path) -> None:
        with self._translated():
            try:
                source = self._path(sha256).open("rb")
            except FileNotFoundError:
                raise ArtifactMissing(sha256, str(self._folder)) from None
            with source:
                write_checked(into, sha256, chunks(source), where=str(self._folder))

    def stored(self) -> Iterator[Stored]:
        with self._translated():
            for path in self._folder.glob("??/*"):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    if is_name(path.name):
                        yield Stored(path.name, status.st_size, status.st_mtime)

    def total_bytes(self) -> int:
        return sum(one.n_bytes for one in self.stored())

    def delete(self, sha256: str) -> None:
        with self._translated():
            self._path(sha256).unlink(missing_ok=True)

    def sweep(self, *, now: float) -> None:
        """Remove what crashes left half written a day ago or earlier."""
        with self._translated():
            for path in self._folder.glob(f"??/.*{PART}"):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < now - _ABANDONED_S:
                        path.unlink()

    def _path(self, sha256: str) -> Path:
        if not is_name(sha256):
            raise ArtifactMissing(sha256, str(self._folder))
        return self._folder / sha256[:2] / sha256

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactsAway(str(self._folder), error.strerror or str(error)) from error
