"""The machine's cache of prepared splits: .npy files named by the hash of what they hold.

    CACHE/data-1/  search/HASH.x.npy  HASH.y.npy     train and validation splits
                   test/HASH.x.npy  HASH.y.npy       test splits; opened by `nasd.data.final` and by preparing alone
                   .../HASH.tokens.npy               instead of the two, of a text
                   facts/KEY.json                    what a request came to
                   locks/KEY                         held while somebody prepares

A file's name says what must be in it, so that any number of processes may write it: each writes a file of its own and
renames it, and all of them hold the same. What was cut short or has rotted does not have its hash and is made again.
All of it may be removed at any time: running processes keep what they have mapped.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import cast

import numpy as np

from nasd.data.raw import Array
from nasd.data.split import Inputs, Targets, Tokens
from nasd.domain.data import DataFacts
from nasd.errors import Unavailable

VERSION = 1  # of what is written and of how data are cut; another one is another folder
_STALE_S = 86_400.0
_HASH_BYTES = 1 << 24


class Area(StrEnum):
    """Who may read a split."""

    SEARCH = "search"
    TEST = "test"


def folder() -> Path:
    """Where splits lie: the settings' folder, or one in the temporary folder where that can't be written.

    Raises:
        Unavailable: neither can be used.
    """
    from nasd.config import cache_folder  # takes longer than all else here, and who prepares is told the folder

    wanted, is_asked_for = cache_folder()
    if wanted is None or not (is_asked_for or _is_writable(wanted)):
        wanted = _own_temporary()
    return wanted / f"data-{VERSION}"


def _is_writable(wanted: Path) -> bool:
    nearest = next(path for path in (wanted, *wanted.parents) if path.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _own_temporary() -> Path:
    """A folder that nobody else may have prepared for us."""
    path = Path(tempfile.gettempdir(), f"nasd-cache-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise Unavailable(f"{path}: is not a folder of yours alone. Set NASD_CACHE to one that you may write")
    return path


class Digest:
    """SHA-256 over arrays' bytes, in the order of their elements; little-endian as they are stored."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, array: Array) -> None:
        flat = array.reshape(-1)
        step = _HASH_BYTES // array.itemsize
        for start in range(0, len(flat), step):
            self._hash.update(np.ascontiguousarray(flat[start : start + step]).data)

    def hex(self) -> str:
        return self._hash.hexdigest()


def sha256_of(*arrays: Array) -> str:
    """Over one array after the other."""
    digest = Digest()
    for array in arrays:
        digest.add(array)
    return digest.hex()


def tokens_sha256(tokens: Tokens) -> str:
    """Over the tokens as single bytes where all are below 256 (for a text: of the text), else as int32."""
    return sha256_of(tokens.astype("u1" if int(tokens.max()) < 256 else "<i4"))


def read_rows(area: Path, name: str, *, shape: tuple[int, ...], n_outputs: int | None) -> tuple[Inputs, Targets] | None:
    """Inputs and targets, mapped read-only; None where they are not there or not what their name says.

    Args:
        area: a folder.
        name: the hash. It covers values alone, so that the shape comes from who asks.
        shape: of the inputs, with the number of samples before it.
        n_outputs: numbers in a sample's target; None: it is a class number.
    """
    x, y = _mapped(area / f"{name}.x.npy"), _mapped(area / f"{name}.y.npy")
    targets = shape[:1] if n_outputs is None else (shape[0], n_outputs)
    if x is None or y is None or (x.size, y.size) != (math.prod(shape), math.prod(targets)):
        return None
    is_typed = x.dtype == np.float32 and y.dtype == (np.int64 if n_outputs is None else np.float32)
    if not is_typed or sha256_of(x, y) != name:
        return None
    return cast("Inputs", x.reshape(shape)), cast("Targets", y.reshape(targets))


def read_tokens(area: Path, name: str) -> Tokens | None:
    """As `read_rows`, of a text."""
    mapped = _mapped(area / f"{name}.tokens.npy")
    if mapped is None or mapped.dtype != np.int64 or mapped.ndim != 1 or not mapped.size:
        return None
    tokens = cast("Tokens", mapped)
    return tokens if tokens_sha256(tokens) == name else None


def _mapped(path: Path) -> Array | None:
    try:
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except (OSError, ValueError, EOFError):
        return None


class Writer:
    """Writes one array, row by row, under a name that is known only when all of it was seen."""

    def __init__(self, area: Path, *, shape: tuple[int, ...], dtype: str) -> None:
        """A file of its own, which `keep` renames.

        Args:
            area: a folder; made where it is missing.
            dtype: with its byte order.
        """
        area.mkdir(parents=True, exist_ok=True)
        descriptor, path = tempfile.mkstemp(prefix="new-", dir=area)
        self._file, self._path = os.fdopen(descriptor, "wb"), Path(path)
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, rows: Array) -> None:
        self._file.write(np.ascontiguousarray(rows).data)

    def keep(self, path: Path) -> None:
        """Close it and give it its name."""
        self._file.close()
        self._path.replace(path)

    def drop(self) -> None:
        """Remove it; nothing after `keep`."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def link(path: Path, source: Path) -> None:
    """Let `path` be a user's own file, which needs no conversion; its hash shows when it changes (see `versions`)."""
    new = path.with_name(f"new-{os.getpid()}-{path.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(source.resolve())
    new.replace(path)


def versions(area: Path, names: Iterable[str]) -> str:
    """What differs once one of the users' files that `link` made inputs of `names` was written again.

    Files of the cache's own never change, so that only links are looked at; looking is cheap, hashing is not.
    """
    found = []
    for name in names:
        path = area / f"{name}.x.npy"
        with contextlib.suppress(OSError):
            if path.is_symlink():
                status = path.stat()
                found.append((name, status.st_ino, status.st_size, status.st_mtime_ns))
    return str(found)


def read_facts(root: Path, key: str) -> DataFacts | None:
    """What a request came to before; None where it is not known."""
    try:
        return DataFacts.from_json(json.loads((root / "facts" / f"{key}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_facts(root: Path, key: str, facts: DataFacts) -> None:
    """Remember what a request came to."""
    path = root / "facts" / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, new = tempfile.mkstemp(prefix="new-", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(facts), file)
    Path(new).replace(path)


@contextlib.contextmanager
def preparing(root: Path, key: str) -> Iterator[None]:
    """One process of this machine prepares a request at a time; where files can't be locked, all do."""
    path = root / "locks" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        os.utime(path)
        _sweep(root, now_s=path.stat().st_mtime)
        yield


def _sweep(root: Path, *, now_s: float) -> None:
    """Remove what killed processes left behind."""
    for path in root.glob("*/new-*"):
        with contextlib.suppress(OSError):
            if now_s - path.lstat().st_mtime > _STALE_S:
                path.unlink()
