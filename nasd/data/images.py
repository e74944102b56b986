"""Images in a folder for each class, as torchvision's `ImageFolder` reads them; Pillow alone is needed.

All must have one size: scaling and cropping are the user's decision. They are grey where every file is, else RGB; an
alpha channel is dropped. They are decoded a few at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasd.data.raw import Array, BadData, Table
from nasd.errors import Unavailable

_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_GREY, _COLOUR = (
    frozenset({"1", "L"}),
    frozenset({"P", "PA", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}),
)


class Images:
    """(n, height, width) or (n, height, width, 3) uint8 images, decoded when their rows are asked for."""

    dtype = np.dtype(np.uint8)

    def __init__(self, files: Sequence[Path], *, size: tuple[int, int], is_grey: bool) -> None:
        """All `files` must have `size`, (width, height)."""
        self._files, self._mode = files, "L" if is_grey else "RGB"
        width, height = size
        self.shape: tuple[int, ...] = (len(files), height, width) if is_grey else (len(files), height, width, 3)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Array:
        """Raises BadData where a file can't be decoded."""
        from PIL import Image

        numbers = np.arange(len(self))[rows]
        decoded = np.empty((len(numbers), *self.shape[1:]), dtype=np.uint8)
        for i, number in enumerate(numbers):
            path = self._files[number]
            try:
                with Image.open(path) as image:
                    decoded[i] = np.asarray(image.convert(self._mode))
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
                raise BadData(f"{path} can't be decoded ({error}). Mend or remove it") from error
        return decoded


def read(folders: Mapping[str, Path]) -> dict[str, Table]:
    """A table of images and class names for each part's folder.

    Raises:
        BadData: no images, sizes that differ, or a file that is no image.
        Unavailable: Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401 - a clear sentence before any file is read
    except ImportError as error:
        raise Unavailable("images need Pillow, which is not installed. pip install pillow") from error
    files = {part: _by_class(folder) for part, folder in folders.items()}
    size, is_grey = _common([path for found in files.values() for path, _ in found])
    return {
        part: Table(
            Images([path for path, _ in found], size=size, is_grey=is_grey), np.array([name for _, name in found])
        )
        for part, found in files.items()
    }


def _by_class(folder: Path) -> list[tuple[Path, str]]:
    """Each image with its class, in order of class and path."""
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        paths = sorted(path for path in entry.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
        if not paths:
            raise BadData(f"the folder {entry} holds no images ({', '.join(sorted(_SUFFIXES))}). Add some or remove it")
        found += [(path, entry.name) for path in paths]
    if not found:
        raise BadData(f"the folder {folder} holds no folder of images for each class. Correct the path")
    return found


def _common(paths: Sequence[Path]) -> tuple[tuple[int, int], bool]:
    """The one size, (width, height), and whether all are grey; reads their heads alone."""
    from PIL import Image

    heads = []
    for path in paths:
        try:
            with Image.open(path) as image:
                heads.append((image.size, image.mode))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise BadData(f"{path} is no image that Pillow can read ({error}). Mend or remove it") from error
        if heads[-1][1] not in _GREY | _COLOUR:
            raise BadData(f"{path} is of Pillow's mode {heads[-1][1]}. Convert it to 8 bits a channel")
    size, n = Counter(size for size, _ in heads).most_common(1)[0]
    for path, (other, _) in zip(paths, heads, strict=True):
        if other != size:
            raise BadData(
                f"images must have one size: {path} is {other[0]} x {other[1]}, while {n} of {len(paths)} are "
                f"{size[0]} x {size[1]} (width x height). Scale or crop them to one"
            )
    return size, all(mode in _GREY for _, mode in heads)
