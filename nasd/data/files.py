"""`data.files`: which kind of file or folder it is, and how each kind is read.

| given | read as |
| --- | --- |
| `NAME.npz`, `NAME.safetensors` | arrays `x` and `y`, or `train_x`, `train_y`, `validation_x`, ..., `test_y` |
| a folder of `.npy` files | the same, one file each (`x.npy`, or `train_x.npy`, ...); mapped, not read |
| a folder of IDX files | MNIST's and Fashion-MNIST's names, plain or .gz; `t10k` is the test split |
| a folder for each class | images, as torchvision's `ImageFolder`; or such below `train`, `validation`, `test` |
| `NAME.txt` | a text for `lm`, byte by byte |
| `NAME.npy` | tokens for `lm`, (n,) |

Relative paths begin at the current folder of the process. On Debian, Fashion-MNIST is the package
dataset-fashion-mnist: `files = "/usr/share/datasets/fashion-mnist"`.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from nasd.data import idx, images, raw
from nasd.data.raw import ALL, TEST, TRAIN, VALIDATION, Array, BadData, Raw, Samples, Table
from nasd.errors import Unavailable

_PART = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "test": TEST}
_KIND = {"x": "x", "images": "x", "inputs": "x", "tokens": "x", "y": "y", "labels": "y", "targets": "y"}
_WORDS = re.compile(r"[a-z]+")


def fingerprint(text: str) -> str:
    """SHA-256 over what a file holds, or over the names and contents of all files of a folder.

    Raises:
        BadData: there is no such file or folder.
    """
    path = existing(text)
    digest = hashlib.sha256()
    for file in _files(path):
        with file.open("rb") as opened:
            digest.update(f"{file.relative_to(path).as_posix()}\0".encode("utf-8", "surrogateescape"))
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def existing(text: str) -> Path:
    """The path that a study file means.

    Raises:
        BadData: there is no such file or folder.
    """
    path = Path(text).expanduser()
    if not path.exists():
        hint = "" if path.is_absolute() else f", and relative paths begin at {Path.cwd()}"
        raise BadData(f"there is no such file or folder here{hint}. Correct the path")
    return path


def read(text: str) -> Raw:
    """What the file or folder holds.

    Raises:
        BadData: it is of no known kind, or can't be read as what it seems to be.
    """
    path = existing(text)
    if path.is_dir():
        return _folder(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise BadData(f"is none of {', '.join(_READERS)}, and no folder. Convert it, or read it with data.load")
    return reader(path)


def tables(arrays: Mapping[str, Samples], *, where: str = "the arrays are") -> dict[str, Table]:
    """Arrays by name (`x`, `train_x`, `x_train`, `train_images`, `val_labels`, ...) as tables by part.

    Raises:
        BadData: a name says nothing, two say the same, or targets have no inputs.
    """
    found: dict[str, dict[str, Samples]] = {}
    for name, array in arrays.items():
        part, kind = _meaning(name)
        if kind is None:
            raise BadData(
                f"{where} named {', '.join(sorted(arrays))}. Name them x and y, or train_x, train_y, validation_x, "
                "validation_y, test_x and test_y"
            )
        members = found.setdefault(part, {})
        if kind in members:
            raise BadData(
                f"{where} named {', '.join(sorted(arrays))}: two of them mean the {kind} of {part}. Rename one"
            )
        members[kind] = array
    for part, members in found.items():
        if "x" not in members:
            raise BadData(f"there are targets and no inputs{'' if part == ALL else f' of {part}'}. Give x")
    return {part: Table(members["x"], _in_memory(members.get("y"))) for part, members in found.items()}


def _meaning(name: str) -> tuple[str, str | None]:
    """(part, `x` or `y`) of an array's name; None where it is no such name."""
    words = _WORDS.findall(name.lower())
    parts = [_PART[word] for word in words if word in _PART]
    kinds = [_KIND[word] for word in words if word in _KIND]
    is_known = len(kinds) == 1 and len(parts) + 1 == len(words) <= 2
    return (parts[0] if parts else ALL), (kinds[0] if is_known else None)


def _in_memory(y: Samples | None) -> Array | None:
    return None if y is None else np.asarray(y[:])


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    below = (file for file in path.rglob("*") if not any(step.startswith(".") for step in file.relative_to(path).parts))
    return sorted(file for file in below if file.is_file())


def _folder(path: Path) -> Raw:
    arrays = {file.stem: file for file in sorted(path.glob("*.npy"))}
    if arrays:
        return Raw(parts=tables({name: _npy(file) for name, file in arrays.items()}, where="the .npy files are"))
    if idx.is_there(path):
        return Raw(parts=idx.read(path))
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if any(folder.name == TRAIN for folder in folders) and all(folder.name in _PART for folder in folders):
        return Raw(parts=images.read({_PART[folder.name]: folder for folder in folders}))
    if folders:
        return Raw(parts=images.read({ALL: path}))
    raise BadData("is a folder without .npy files, IDX files or a folder of images for each class. Correct the path")


def _npz(path: Path) -> Raw:
    if not zipfile.is_zipfile(path):  # numpy would take it for a pickle
        raise BadData("can't be read: it is no npz file. Write it with np.savez(FILE, x=..., y=...)")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:
            return Raw(parts=tables({name: opened[name] for name in opened.files}))
    except BadData:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise _unreadable("", error) from error


def _npy(path: Path) -> Array:
    """Mapped, so that what is not needed is not read."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except ValueError as error:
        raise _unreadable(f"{path.name} ", error) from error


def _safetensors(path: Path) -> Raw:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise Unavailable(
            f'data.files = "{path}": needs safetensors, which is not installed. pip install "nasd[train]"'
        ) from error
    try:
        with safe_open(path, framework="numpy") as opened:
            return Raw(parts=tables({name: opened.get_tensor(name) for name in opened.keys()}))  # noqa: SIM118 - no dict
    except (SafetensorError, TypeError, AttributeError) as error:  # the latter two: a type that numpy lacks
        raise _unreadable("", error) from error


def _unreadable(what: str, error: Exception) -> BadData:
    if "allow_pickle" in str(error) or "Python objects" in str(error):
        return BadData(f"{what}holds Python objects. Save numbers, and names as text (y.astype(str))")
    return BadData(f"{what}can't be read ({type(error).__name__}: {error}). Write it again, in float32 or uint8")


def _txt(path: Path) -> Raw:
    return Raw(parts={ALL: raw.text(path.read_bytes())}, vocabulary=256)


def _one_npy(path: Path) -> Raw:
    return Raw(parts={ALL: Table(_npy(path))})


_READERS: Mapping[str, Callable[[Path], Raw]] = {
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".npy": _one_npy,
    ".txt": _txt,
}
