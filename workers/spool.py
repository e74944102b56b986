"""Spool: outcomes on disk from the moment they exist until the store has accepted or refused them."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nasd.domain.architecture import Architecture
from nasd.domain.artifact import ArtifactRef
from nasd.domain.measurement import Outcome, Stage
from nasd.ports.lease import Lease
from workers.assignment import outcome_from_json, outcome_to_json

logger = logging.getLogger(__name__)

SPOOL_FROM_S = 1.0  # a shorter evaluation costs less to repeat than its fsync, unless reporting fails
_ABANDONED_AFTER_S = 3600.0


class Spool:
    """A folder of one file per outcome, shared by the workers of a host: delivering one twice changes nothing."""

    def __init__(self, directory: Path) -> None:
        """Nothing is created before the first outcome."""
        self._directory = directory

    def put(self, lease: Lease, outcome: Outcome) -> Path | None:
        """Write an outcome so that it survives a power cut; None (and a log line) where the disk refuses."""
        text = json.dumps({"lease": _lease_to_json(lease), "outcome": outcome_to_json(outcome)}, allow_nan=False)
        path = self._directory / f"{lease.evaluation_id}-{lease.attempt}-{os.getpid()}.json"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._directory, suffix=".part", delete=False) as file:
                file.write(text)  # mode 0600: it holds a token
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
            self._sync_directory()
        except OSError as error:
            logger.warning("spool refused", extra={"fields": {"path": str(path), "error": str(error)}})
            return None
        return path

    def remove(self, path: Path | None) -> None:
        """Forget a delivered outcome."""
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def set_aside(self, path: Path | None) -> None:
        """Keep an outcome that the store can't take, for a person to look at."""
        if path is not None:
            with contextlib.suppress(OSError):
                path.replace(path.with_suffix(".rejected"))

    def waiting(self) -> Iterator[tuple[Path, Lease, Outcome]]:
        """What is there, oldest first; unreadable files are set aside, what a crash left half-written is removed."""
        for path in self._directory.glob("*.part"):
            if time.time_ns() / 1e9 - _modified_at(path) > _ABANDONED_AFTER_S:
                self.remove(path)
        for path in sorted(self._directory.glob("*.json"), key=_modified_at):
            try:
                value = json.loads(path.read_text())
                yield path, _lease_from_json(value["lease"]), outcome_from_json(value["outcome"])
            except FileNotFoundError:
                continue  # another worker of this host delivered it
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("spooled outcome unreadable", extra={"fields": {"path": str(path), "error": str(error)}})
                self.set_aside(path)

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # the name too must survive
        finally:
            os.close(descriptor)


def _modified_at(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _lease_to_json(lease: Lease) -> dict[str, Any]:
    return asdict(lease) | {"architecture": lease.architecture.json}


def _lease_from_json(value: dict[str, Any]) -> Lease:
    return Lease(
        **value
        | {
            "architecture": Architecture.from_json(value["architecture"]),
            "stage": Stage(value["stage"]),
            "artifacts": tuple(ArtifactRef(**one) for one in value.get("artifacts", ())),
        }
    )
