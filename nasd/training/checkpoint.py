"""Checkpoints: a training in the middle of its steps as bytes, from which it goes on as if it had never stopped."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import pickle
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

logger = logging.getLogger(__name__)

EVERY_S = 30.0  # a shorter training is cheaper to repeat
_FORMAT = 1
State = dict[str, Any]  # tensors, numbers, texts, and lists and dicts of them


class CheckpointStore(Protocol):
    """One training's place for its latest checkpoint."""

    def load(self) -> bytes | None:
        """What was saved last; None where nothing was or it is gone."""
        ...

    def save(self, content: bytes) -> None:
        """Replace it, whole or not at all.

        Raises:
            OSError: it can't; the training goes on without.
        """
        ...


def pack(state: State, *, identity: str) -> bytes:
    """`state` of the training called `identity`."""
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, "identity": identity, "state": state}, buffer)
    return buffer.getvalue()


def unpack(content: bytes, *, identity: str) -> State | None:
    """The state that was packed; None (and a log line) where it is damaged or of another training. Runs no code."""
    try:
        found = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        if found["format"] == _FORMAT and found["identity"] == identity:
            state: State = found["state"]
            return state
        reason = "of another training"
    except (RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        reason = f"{type(error).__name__}: {error}"
    logger.warning("checkpoint not used", extra={"fields": {"reason": reason}})
    return None


def identity_of(facts: Mapping[str, object]) -> str:
    """One word for all that decides a training's numbers."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


class Saver:
    """Saves at step boundaries, every `every_s` seconds; before the first, a training counts as short."""

    def __init__(self, store: CheckpointStore | None, *, identity: str, every_s: float) -> None:
        self._store, self._identity, self._every_s = store, identity, every_s
        self._began = self._saved_at = time.monotonic()

    def load(self) -> State | None:
        """Where to go on; None: from the beginning."""
        content = None if self._store is None else self._store.load()
        return None if content is None else unpack(content, identity=self._identity)

    def boundary(self, state: Callable[[], State]) -> None:
        """Between two steps: save where it is time to."""
        if self._store is not None and time.monotonic() - self._saved_at >= self._every_s:
            self._save(self._store, state)

    def interrupted(self, state: Callable[[], State]) -> None:
        """Between two steps, told to stop: save what was paid for, unless the training was short."""
        if self._store is not None and time.monotonic() - self._began >= self._every_s:
            self._save(self._store, state)

    def _save(self, store: CheckpointStore, state: Callable[[], State]) -> None:
        try:
            store.save(pack(state(), identity=self._identity))
        except OSError as error:
            logger.warning("checkpoint not saved", extra={"fields": {"reason": str(error)}})
        self._saved_at = time.monotonic()
