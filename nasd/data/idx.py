"""IDX files, the format of MNIST: images and labels of a train and a test part, in one folder.

Format: Yann LeCun's MNIST page: two zero bytes, a type, the number of dimensions, each as a big-endian 32-bit number,
then the values, big-endian.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from nasd.data.raw import TEST, TRAIN, VALIDATION, Array, BadData, Table

_NAME = re.compile(
    r"(?P<set>.*?)[-_.]?(?P<part>train|t10k|test|validation|val)[-_.](?P<kind>images|labels)[-_.]idx\d-ubyte(\.gz)?"
)
_PARTS = {"train": TRAIN, "t10k": TEST, "test": TEST, "validation": VALIDATION, "val": VALIDATION}
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 4


def is_there(folder: Path) -> bool:
    """Whether any file of a folder has such a name."""
    return any(_NAME.fullmatch(file.name) for file in folder.iterdir())


def read(folder: Path) -> dict[str, Table]:
    """The parts that a folder holds.

    Raises:
        BadData: files of several data sets, a missing one, or one that can't be read.
    """
    files: dict[tuple[str, str], Path] = {}
    sets = set()
    for file in sorted(folder.iterdir()):  # a plain file comes before its .gz, which then counts no more
        if match := _NAME.fullmatch(file.name):
            sets.add(match["set"])
            files.setdefault((_PARTS[match["part"]], match["kind"]), file)
    if len(sets) > 1:
        raise BadData(f"holds IDX files of several data sets: {', '.join(sorted(sets))}. Give each a folder of its own")
    parts = {part for part, _ in files}
    for part in parts:
        for kind in ("images", "labels"):
            if (part, kind) not in files:
                raise BadData(f"holds no IDX file of the {kind} of {part}. Add it")
    return {part: Table(read_file(files[part, "images"]), read_file(files[part, "labels"])) for part in sorted(parts)}


def read_file(path: Path) -> Array:
    """The array of one IDX file, unpacked where its name ends in .gz.

    Raises:
        BadData: it is no such file, or is cut short.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadData(f"{path.name} can't be unpacked ({error}). Fetch it again") from error
    zeros, kind, n_dimensions = struct.unpack(">HBB", content[:4].ljust(4, b"\xff"))
    start = 4 + 4 * n_dimensions
    if zeros or kind not in _TYPES or not 1 <= n_dimensions <= _MAX_DIMENSIONS or len(content) < start:
        raise BadData(f"{path.name} is no IDX file. Fetch it again")
    shape, dtype = struct.unpack(f">{n_dimensions}I", content[4:start]), np.dtype(_TYPES[kind])
    wanted = dtype.itemsize
    for size in shape:
        wanted *= size
    if len(content) - start != wanted:
        raise BadData(
            f"{path.name} has {len(content) - start} bytes of values, and its head says {wanted}. Fetch it again"
        )
    return np.frombuffer(content, dtype=dtype, offset=start).reshape(shape)
