"""Any file system that fsspec speaks as an artifact store: `s3://bucket/folder`, `gs://...`, `memory://...`."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from nasd.artifacts.hashing import PART, Quota, chunks, is_name, sha256_of, write_checked
from nasd.errors import ArtifactMissing, ArtifactsAway, ArtifactsFull, NasdError, SettingsError
from nasd.ports.artifacts import Stored


class FsspecStore:
    """Credentials are the file system's own matter: environment, profile or instance role; none are in our settings."""

    def __init__(self, url: str, *, quota_bytes: int) -> None:
        """Nothing is asked for yet.

        Raises:
            SettingsError: fsspec or the package for this scheme is missing, or there is no such scheme.
        """
        self._where = shown(url)
        self._files, self._root = _opened(url)
        self._quota = Quota(quota_bytes, self.total_bytes)

    def put(self, path: Path) -> tuple[str, int]:
        sha256, n_bytes = sha256_of(path)
        into = self._path(sha256)
        with self._translated():
            is_there = self._files.exists(into)  # it is written again all the same: that makes it young for evictions
            if not is_there and not self._quota.has_room(n_bytes):
                raise ArtifactsFull(self._where, self._quota.refusal(n_bytes))
            part = f"{into}.{secrets.token_hex(4)}{PART}"
            self._files.makedirs(f"{self._root}/{sha256[:2]}", exist_ok=True)
            self._files.put_file(str(path), part)
            self._files.mv(part, into)  # an object store copies whole, a file system renames: never half a file
            self._quota.note(0 if is_there else n_bytes)
        return sha256, n_bytes

    def get(self, sha256: str, into: Path) -> None:
        with self._translated():
            try:
                source = self._files.open(self._path(sha256), "rb")
            except FileNotFoundError:
                raise ArtifactMissing(sha256, self._where) from None
            with source:
                write_checked(into, sha256, chunks(source), where=self._where)

    def stored(self) -> Iterator[Stored]:
        with self._translated():
            if not self._files.exists(self._root):
                return
            found: dict[str, dict[str, Any]] = self._files.find(self._root, detail=True)
        for path, facts in found.items():
            name = path.rpartition("/")[2]
            if is_name(name):
                yield Stored(name, int(facts["size"]), _at(facts))

    def total_bytes(self) -> int:
        return sum(one.n_bytes for one in self.stored())

    def delete(self, sha256: str) -> None:
        with self._translated(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(sha256))

    def _path(self, sha256: str) -> str:
        if not is_name(sha256):
            raise ArtifactMissing(sha256, self._where)
        return f"{self._root}/{sha256[:2]}/{sha256}"

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Whatever a driver raises: each has errors of its own, and none is the artifact's fault."""
        try:
            yield
        except NasdError:
            raise
        except Exception as error:
            raise ArtifactsAway(self._where, f"{type(error).__name__}: {error}") from error


def shown(url: str) -> str:
    """`url` without user, password and query."""
    scheme, found, rest = url.partition("://")
    place = rest.partition("?")[0]
    host, slash, path = place.partition("/")
    return f"{scheme}{found}{host.rpartition('@')[2]}{slash}{path}"


def _opened(url: str) -> tuple[Any, str]:
    """(file system, path of the root in it)."""
    try:
        import fsspec
    except ImportError as error:
        raise SettingsError(
            f"NASD_ARTIFACTS_URL = {shown(url)}: needs the package fsspec. pip install fsspec, or use a file:// address"
        ) from error
    try:
        files, root = fsspec.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SettingsError(f"NASD_ARTIFACTS_URL = {shown(url)}: can't be used: {error}") from error
    return files, root.rstrip("/")


def _at(facts: dict[str, Any]) -> float:
    """When a file was written, as drivers tell it in their several ways; 0.0 where they don't."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = facts.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return datetime.fromisoformat(value).timestamp()
    return 0.0
