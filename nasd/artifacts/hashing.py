"""Files and their hashes: read, written and copied so that what has a hash's name has that content."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from nasd.errors import ArtifactCorrupt

CHUNK = 1 << 20
_NAME = re.compile(r"[0-9a-f]{64}")
PART = ".part"  # of what is being written


def is_name(text: str) -> bool:
    """Whether `text` is a SHA-256 as artifacts are named: 64 lower-case hexadecimal digits, and nothing else."""
    return _NAME.fullmatch(text) is not None


def sha256_of(path: Path) -> tuple[str, int]:
    """(hash, bytes) of a file's content."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


def chunks(file: BinaryIO, n_bytes: int | None = None) -> Iterator[bytes]:
    """What is left of `file`, or its next `n_bytes` as far as they come."""
    while n_bytes is None or n_bytes > 0:
        chunk = file.read(CHUNK if n_bytes is None else min(CHUNK, n_bytes))
        if not chunk:
            return
        n_bytes = None if n_bytes is None else n_bytes - len(chunk)
        yield chunk


@contextlib.contextmanager
def whole(into: Path, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A file that becomes `into` when the block ends well: on disk first, then by name; else nothing is left of it.

    Raises:
        OSError: the disk is full or not writable.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=into.parent, prefix=".", suffix=PART, delete=False) as file:
        fresh = Path(file.name)
        try:
            yield file  # type: ignore[misc]  # the wrapper has all of BinaryIO
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
    fresh.replace(into)
    sync_folder(into.parent)


def write_checked(into: Path, sha256: str, parts: Iterator[bytes], *, where: str, mode: int = 0o600) -> int:
    """Write `parts` to `into` if they are what `sha256` says: how many bytes they were.

    Raises:
        ArtifactCorrupt: they are not; nothing is left.
    """
    digest, n_bytes = hashlib.sha256(), 0
    with whole(into, mode=mode) as file:
        for part in parts:
            digest.update(part)
            n_bytes += len(part)
            file.write(part)
        require(sha256, digest.hexdigest(), n_bytes, where=where)
    return n_bytes


def require(sha256: str, found: str, n_bytes: int, *, where: str) -> None:
    """Refuse content whose hash is another one.

    Raises:
        ArtifactCorrupt: it is.
    """
    if found != sha256:
        raise ArtifactCorrupt(sha256, where, f"its {n_bytes:,} bytes hash to {found[:12]}")


def sync_folder(folder: Path) -> None:
    """A new name must survive a power cut too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Quota:
    """Keeps an archive below a number of bytes without counting it for every file.

    What other processes put meanwhile is counted after 64 files of our own at the latest, and always before a file is
    refused.
    """

    _COUNT_EVERY = 64

    def __init__(self, limit_bytes: int, count: Callable[[], int]) -> None:
        self._limit_bytes, self._count = limit_bytes, count
        self._known_bytes, self._n_since = 0, self._COUNT_EVERY

    def has_room(self, n_bytes: int) -> bool:
        """Whether so many more bytes fit."""
        if self._n_since >= self._COUNT_EVERY or self._known_bytes + n_bytes > self._limit_bytes:
            self._known_bytes, self._n_since = self._count(), 0
        return self._known_bytes + n_bytes <= self._limit_bytes

    def note(self, n_bytes: int) -> None:
        """So many were put."""
        self._known_bytes += n_bytes
        self._n_since += 1

    def refusal(self, n_bytes: int) -> str:
        """Why `n_bytes` more are refused, with the remedy."""
        mib = 1 << 20
        return (
            f"{n_bytes / mib:.1f} MiB more would exceed its quota of {self._limit_bytes / mib:.0f} MiB "
            f"({self._known_bytes / mib:.1f} MiB are used); `nasd db artifacts --evict` removes what no front and no "
            "evaluation needs, NASD_ARTIFACTS_QUOTA_MIB raises it"
        )
