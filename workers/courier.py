"""Courier: brings artifacts to the evaluating child and what it made to the store. Runs in the worker itself.

The child has no address and no token: it gets paths to read and a folder to write into.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from nasd.artifacts.hashing import sha256_of
from nasd.domain.artifact import ArtifactRef
from nasd.errors import ArtifactsAway, WorldFault
from nasd.ports.artifacts import ArtifactStore
from nasd.ports.lease import Lease

logger = logging.getLogger(__name__)

_WAITS_S = (0.5, 2.0, 5.0)  # between tries, while the lease is being renewed
_FORMAT = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
_IN_USE_S = 60.0  # a file that was asked for so recently may be about to be opened


class Courier:
    """One a worker; its cache is shared by the workers of a host that have the same home."""

    def __init__(
        self,
        store: ArtifactStore,
        home: Path,
        *,
        cache_bytes: int,
        wait: Callable[[float], object],
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Nothing is made or asked for yet.

        Args:
            store: where artifacts are.
            home: the folder of `artifacts-cache` and `outbox`.
            cache_bytes: how much the cache keeps; the longest unused go first.
            wait: so many seconds, or until the worker is asked to leave.
            is_stopping: whether it is.
        """
        self._store, self._cache, self._outboxes = store, home / "artifacts-cache", home / "outbox"
        self._cache_bytes, self._wait, self._is_stopping = cache_bytes, wait, is_stopping
        self._outbox: Path | None = None

    def fetch(self, lease: Lease) -> dict[str, str]:
        """What the lease names, by format, as paths of this machine.

        Raises:
            WorldFault: `artifact_missing`, `artifact_corrupt` or `artifacts_away`, after a few tries.
        """
        return {ref.format: str(self._fetched(ref)) for ref in lease.artifacts}

    def outbox(self) -> Path:
        """An empty folder for the next evaluation; `clear` removes it.

        Raises:
            WorldFault: `artifacts_away`, this machine's disk is full or not writable.
        """
        self.clear()
        try:
            self._outboxes.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._outbox = Path(tempfile.mkdtemp(dir=self._outboxes))
        except OSError as error:
            raise ArtifactsAway(str(self._outboxes), error.strerror or str(error)) from error
        return self._outbox

    def deliver(self, produced: Mapping[str, str]) -> tuple[ArtifactRef, ...]:
        """Store what an evaluation left in its outbox.

        Args:
            produced: the name of a file in the outbox by format.

        Raises:
            WorldFault: a name that is no plain file of the outbox; or the store's, after a few tries.
        """
        return tuple(self._stored(name, self._checked(name, file)) for name, file in produced.items())

    def clear(self) -> None:
        """Remove the outbox with all that is in it."""
        outbox, self._outbox = self._outbox, None
        if outbox is not None:
            shutil.rmtree(outbox, ignore_errors=True)

    def _fetched(self, ref: ArtifactRef) -> Path:
        path = self._cache / ref.sha256
        try:
            if not _is_good(path, ref):
                self._insist(lambda: self._store.get(ref.sha256, path))
                self._shrink(keep=ref.sha256)
            os.utime(path)
        except OSError as error:
            raise ArtifactsAway(str(self._cache), error.strerror or str(error)) from error
        return path

    def _stored(self, name: str, path: Path) -> ArtifactRef:
        found: list[tuple[str, int]] = []
        self._insist(lambda: found.append(self._store.put(path)))
        sha256, n_bytes = found[0]
        return ArtifactRef(name, sha256, n_bytes)

    def _checked(self, name: str, file: str) -> Path:
        """The file, which must be what it seems: users' code may have run beside who named it."""
        if self._outbox is None or not _FORMAT.fullmatch(name):
            raise WorldFault("internal", f"the evaluation names an artifact {name[:40]!r} that it can't have")
        path = self._outbox / file
        if path.parent != self._outbox or path.is_symlink() or not path.is_file():
            raise WorldFault("internal", f"artifact {name}: {file[:100]!r} is no file of the evaluation's outbox")
        return path

    def _insist(self, call: Callable[[], object]) -> None:
        """Try a few times while the store is away; other faults are told at once."""
        for wait_s in _WAITS_S:
            try:
                call()
            except ArtifactsAway as error:
                if self._is_stopping():
                    raise
                logger.warning("artifact store away", extra={"fields": {"error": str(error)}})
                self._wait(wait_s)
            else:
                return
        call()

    def _shrink(self, *, keep: str) -> None:
        """Remove the longest unused files until the rest fit."""
        found = []
        for path in self._cache.iterdir():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        found.sort()
        total, newest = sum(size for _, size, _ in found), max((at for at, _, _ in found), default=0.0)
        for at, size, path in found:
            if total <= self._cache_bytes:
                return
            if path.name != keep and at < newest - _IN_USE_S:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                total -= size


def _is_good(path: Path, ref: ArtifactRef) -> bool:
    """Whether the cache has it undamaged; reading it all costs a millisecond for each megabyte."""
    try:
        if path.stat().st_size != ref.n_bytes:
            return False
        return sha256_of(path)[0] == ref.sha256
    except FileNotFoundError:
        return False
