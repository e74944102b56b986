"""Checkpoints of evaluations in a folder of this host: the next attempt here goes on where the last one ended.

No pickle: bytes as they are, arrays as npz, tensors as safetensors, everything else in them as JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nasd.domain.architecture import canonical_json
from nasd.domain.study import StudySpec
from nasd.errors import UserError, WorldFault
from nasd.studyfile import spec_to_json
from workers.assignment import Assignment
from workers.hooks import Hooks, Stopped

State = bytes | Mapping[str, object]

_KEPT_S = 7 * 86_400  # what an evaluation that was killed left behind
_JSON = "__json__"
_SUFFIXES = (".bin", ".npz", ".safetensors")


class Scratch:
    """The checkpoint of one evaluation."""

    def __init__(self, folder: Path, key: Callable[[], Sequence[object]]) -> None:
        """Nothing is read or written yet.

        Args:
            folder: of all checkpoints; made when it is needed.
            key: gives what tells this evaluation from every other, the same for each of its attempts; asked when it is
                needed: most evaluations are short and keep no checkpoint.
        """
        self._folder, self._key = folder, key
        self._known_stem: str | None = None

    def save(self, state: State) -> None:
        """Replace the checkpoint, whole or not at all.

        Raises:
            TypeError: neither bytes nor a dict of arrays, tensors and JSON values.
            OSError: the disk is full or not writable.
        """
        suffix, content = _packed(state)
        if not self._folder.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._path(f".{os.getpid()}.tmp")
        fresh.write_bytes(content)
        self._sweep(before_s=fresh.stat().st_mtime - _KEPT_S)
        fresh.replace(self._path(suffix))
        for other in _SUFFIXES:
            if other != suffix:
                self._path(other).unlink(missing_ok=True)

    def load(self) -> bytes | dict[str, Any] | None:
        """What was saved last; None where there is nothing, or nothing that can be read."""
        for suffix in _SUFFIXES:
            path = self._path(suffix)
            if path.exists():
                with contextlib.suppress(Exception):  # of a damaged file each reader says so in its own way
                    return _unpacked(path)
        return None

    def remove(self) -> None:
        """The evaluation is over; nothing to do where it never asked."""
        if self._known_stem is None:
            return
        for suffix in _SUFFIXES:
            with contextlib.suppress(OSError):
                self._path(suffix).unlink(missing_ok=True)

    @property
    def _stem(self) -> str:
        if self._known_stem is None:
            text = "\x1f".join(str(part) for part in self._key())
            self._known_stem = hashlib.sha256(text.encode()).hexdigest()[:32]
        return self._known_stem

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._stem}{suffix}"

    def _sweep(self, *, before_s: float) -> None:
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before_s:
                    path.unlink()


def scratch_of(assignment: Assignment, spec: StudySpec, hooks: Hooks) -> Scratch | None:
    """Where this evaluation's checkpoint is: another recipe, fidelity or replicate is another evaluation."""
    if hooks.scratch is None:
        return None
    return Scratch(
        hooks.scratch,
        lambda: (
            assignment.study_id,
            canonical_json(spec_to_json(spec)),
            assignment.architecture.key,
            assignment.trial_number,
            assignment.stage,
            assignment.replicate,
            assignment.fidelity,
            assignment.seed,
        ),
    )


@contextlib.contextmanager
def kept_for_another_attempt(scratch: Scratch | None) -> Iterator[None]:
    """Remove the checkpoint afterwards, unless there will be another attempt."""
    try:
        yield
    except (Stopped, WorldFault, UserError):
        raise
    except BaseException:
        if scratch is not None:
            scratch.remove()
        raise
    if scratch is not None:
        scratch.remove()


def _packed(state: object) -> tuple[str, bytes]:
    """(suffix, content) of the file that holds `state`."""
    if isinstance(state, bytes | bytearray | memoryview):
        return ".bin", bytes(state)
    if not isinstance(state, Mapping):
        raise TypeError(f"a checkpoint is bytes or a dict, not {type(state).__name__}")
    arrays = {str(name): value for name, value in state.items() if _is_array(value)}
    plain = {str(name): value for name, value in state.items() if not _is_array(value)}
    try:
        text = json.dumps(plain)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"a checkpoint's values are arrays, tensors or plain JSON values ({error}); flatten it, or give bytes"
        ) from error
    if any(not isinstance(value, np.ndarray) for value in arrays.values()):
        return ".safetensors", _tensors(arrays, text)
    return ".npz", _npz(arrays, text)


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "untyped_storage"))


def _npz(arrays: Mapping[str, Any], text: str) -> bytes:
    from io import BytesIO

    if any(value.dtype.hasobject for value in arrays.values()):
        raise TypeError("a checkpoint's arrays hold numbers, not objects; give bytes instead")
    file = BytesIO()
    header = json.dumps({"plain": text, "names": list(arrays)})  # names of its own would clash with numpy's arguments
    np.savez(file, np.frombuffer(header.encode(), dtype=np.uint8), *arrays.values(), allow_pickle=False)
    return file.getvalue()


def _tensors(arrays: Mapping[str, Any], text: str) -> bytes:
    import torch
    from safetensors.torch import save

    tensors = {name: torch.as_tensor(value).detach().cpu().contiguous() for name, value in arrays.items()}
    return save(tensors, metadata={_JSON: text})


def _unpacked(path: Path) -> bytes | dict[str, Any]:
    if path.suffix == ".bin":
        return path.read_bytes()
    if path.suffix == ".npz":
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            header, *arrays = (archive[name] for name in archive.files)
        said = json.loads(header.tobytes())
        plain: dict[str, Any] = json.loads(said["plain"])
        return plain | dict(zip(said["names"], arrays, strict=True))
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        read: dict[str, Any] = json.loads(file.metadata()[_JSON])
        return read | {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
