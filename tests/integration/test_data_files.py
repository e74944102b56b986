"""Every kind of file that `data.files` reads, made for real; and every mistake that one can make with them."""

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from nasd.data import SearchSplit, cache, describe, search_split
from nasd.data.final import test_split as final_split
from nasd.data.prepare import prepare
from nasd.data.request import Request
from nasd.domain.data import DataFacts, Task
from nasd.domain.study import DataSpec
from nasd.errors import UserError, WorldFault

N = 40
RNG = np.random.default_rng(0)
X = (np.arange(N * 6).reshape(N, 6) * 37 % 241 / 8 - 9).astype(np.float32)
Y = np.arange(N) % 4
PIXELS = RNG.integers(0, 256, (N, 9, 7), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


def read(
    path: Path, task: Task = Task.CLASSIFICATION, **more: object
) -> tuple[DataFacts, SearchSplit, tuple[np.ndarray, np.ndarray]]:
    """Prepared in this process, which spares half a second; then read as a search and as the final retraining do."""
    spec = DataSpec(files=str(path), **more)  # type: ignore[arg-type]
    facts = prepare(Request(spec, task, cache.folder()), allow=None)
    return facts, search_split(spec, facts), final_split(spec, facts)


def contents(split: SearchSplit, test: tuple[np.ndarray, np.ndarray]) -> list[tuple[list[float], float]]:
    """Every row with its target, in any order."""
    parts = ((split.train_x, split.train_y), (split.validation_x, split.validation_y), test)
    return sorted((x.ravel().tolist(), y.tolist()) for xs, ys in parts for x, y in zip(xs, ys, strict=True))


def rows(x: np.ndarray, y: np.ndarray) -> list[tuple[list[float], float]]:
    return sorted((a.ravel().tolist(), b.tolist()) for a, b in zip(x, y, strict=True))


def write_npz(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


def write_safetensors(folder: Path, **arrays: np.ndarray) -> Path:
    save_file(arrays, folder / "a.safetensors")
    return folder / "a.safetensors"


def write_npy(folder: Path, **arrays: np.ndarray) -> Path:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.mark.parametrize("write", [write_npz, write_safetensors, write_npy])
def test_uncut_arrays_are_cut_by_shares_and_lose_no_row(write: Callable[..., Path], folder: Path) -> None:
    """All three formats hold the same rows, so that all three give the same splits."""
    facts, split, test = read(write(folder, x=X, y=Y), validation=0.25, test=0.1, seed=3)
    assert (facts.n_train, facts.n_validation, facts.n_test) == (26, 10, 4)
    assert (facts.input_shape, facts.n_outputs, facts.trivial_error) == ((6,), 4, 0.8)
    assert contents(split, test) == rows(X, Y)
    assert np.bincount(split.validation_y).max() <= 3
    assert facts.sha256["train"].startswith("8ed14d6c")


@pytest.mark.parametrize("write", [write_npz, write_safetensors, write_npy])
def test_given_parts_stay_what_they_are(write: Callable[..., Path], folder: Path) -> None:
    """A benchmark's own test split is the benchmark."""
    arrays = {"train_x": X[:20], "train_y": Y[:20], "validation_x": X[20:30], "validation_y": Y[20:30]}
    arrays |= {"test_x": X[30:], "test_y": Y[30:]}
    _, split, (test_x, test_y) = read(write(folder, **arrays))
    found = (split.train_x, split.train_y, split.validation_x, split.validation_y, test_x, test_y)
    assert all(np.array_equal(a, b) for a, b in zip(found, arrays.values(), strict=True))


def test_a_missing_validation_part_is_cut_from_train_alone(folder: Path) -> None:
    """Cut from the test part it would shrink the benchmark; cut from both it would leak."""
    path = write_npz(folder, x_train=X[:30], y_train=Y[:30], x_test=X[30:], y_test=Y[30:])
    facts, split, (test_x, _) = read(path, validation=0.2)
    assert (facts.n_train, facts.n_validation) == (24, 6)
    assert np.array_equal(test_x, X[30:])
    assert rows(np.concatenate([split.train_x, split.validation_x]), np.zeros(30)) == rows(X[:30], np.zeros(30))


def test_unconverted_npy_files_are_mapped_where_they_lie(folder: Path, tmp_path: Path) -> None:
    """A copy of what is already right would double the disk; a changed file must not pass for the recorded one."""
    parts = {"train_x": X[:20], "train_y": Y[:20], "validation_x": X[20:30], "validation_y": Y[20:30]}
    path = write_npy(folder, **parts, test_x=X[30:], test_y=Y[30:])
    facts, _, _ = read(path)
    linked = [file for file in (tmp_path / "cache").rglob("*.x.npy") if file.is_symlink()]
    assert sorted(file.resolve().name for file in linked) == ["test_x.npy", "train_x.npy", "validation_x.npy"]
    np.save(folder / "train_x.npy", X[:20] + 1)
    spec = DataSpec(files=str(path))
    changed = prepare(Request(spec, Task.CLASSIFICATION, cache.folder()), allow=None)
    assert changed.sha256["train"] != facts.sha256["train"]


def test_a_mapped_file_that_changes_under_a_running_worker_is_no_longer_read(folder: Path) -> None:
    """Hashing once a process would let the rest of a search train on other data than its first half."""
    parts = {"train_x": X[:20], "train_y": Y[:20], "validation_x": X[20:30], "validation_y": Y[20:30]}
    path = write_npy(folder, **parts, test_x=X[30:], test_y=Y[30:])
    facts, first, _ = read(path)
    assert search_split(DataSpec(files=str(path)), facts) is first
    with (folder / "train_x.npy").open("r+b") as file:  # in place, as a program that goes on writing does
        file.seek(-4, os.SEEK_END)
        file.write(b"\x00\x00\x80\x3f")
    with pytest.raises(WorldFault, match="the train split hashes to"):
        search_split(DataSpec(files=str(path)), facts)


def write_idx(path: Path, values: np.ndarray) -> None:
    content = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dot", ["-", "."])
def test_idx_files_are_grey_images_whose_t10k_part_is_the_test(folder: Path, suffix: str, dot: str) -> None:
    """MNIST and Fashion-MNIST as they are handed on, packed or not; 60,000 of them must not become 60,000 sequences."""
    for part, of in (("train", slice(30)), ("t10k", slice(30, None))):
        write_idx(folder / f"{part}-images{dot}idx3-ubyte{suffix}", PIXELS[of])
        write_idx(folder / f"{part}-labels{dot}idx1-ubyte{suffix}", Y[of])
    facts, split, (test_x, test_y) = read(folder)
    assert (facts.input_shape, facts.n_train, facts.n_validation, facts.n_test) == ((1, 9, 7), 24, 6, 10)
    assert np.array_equal(test_x[:, 0], PIXELS[30:].astype(np.float32) / 255)
    assert np.array_equal(test_y, Y[30:])
    assert contents(split, (test_x, test_y)) == rows(PIXELS.astype(np.float32) / 255, Y)


def test_idx_files_with_labels_from_one_are_numbered_from_zero(folder: Path) -> None:
    """EMNIST's letters are 1 to 26, and its file names begin with the set's own."""
    write_idx(folder / "emnist-letters-train-images-idx3-ubyte", PIXELS)
    write_idx(folder / "emnist-letters-train-labels-idx1-ubyte", Y + 1)
    facts, split, _ = read(folder)
    assert facts.classes == ("1", "2", "3", "4")
    assert set(split.train_y.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x00\x08\x01\x00\x00\x00\x05\x01\x02", "has 2 bytes of values, and its head says 5"),
        (b"<html>", "is no IDX file"),
        (b"", "is no IDX file"),
    ],
)
def test_a_broken_idx_file_is_named(folder: Path, content: bytes, message: str) -> None:
    """A download that was cut short is the usual cause."""
    write_idx(folder / "train-images-idx3-ubyte", PIXELS)
    (folder / "train-labels-idx1-ubyte").write_bytes(content)
    with pytest.raises(UserError, match=f"train-labels-idx1-ubyte {message}"):
        read(folder)


def test_idx_files_of_two_sets_or_without_labels_are_refused(folder: Path) -> None:
    """Which of them was meant can't be guessed."""
    write_idx(folder / "train-images-idx3-ubyte", PIXELS)
    with pytest.raises(UserError, match="no IDX file of the labels of train"):
        read(folder)
    write_idx(folder / "kmnist-train-labels-idx1-ubyte", Y)
    with pytest.raises(UserError, match="several data sets"):
        read(folder)


def write_images(folder: Path, *, mode: str, suffix: str = ".png") -> np.ndarray:
    """`N` images in three class folders; what they hold, by class and name."""
    shape = (N, 9, 7, 3) if mode == "RGB" else (N, 9, 7)
    values = RNG.integers(0, 256, shape, dtype=np.uint8)
    for number, pixels in enumerate(values):
        path = folder / f"class {'cab'[number % 3]}" / f"{number:03}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels, mode).save(path)
    return values


@pytest.mark.filterwarnings("ignore:.*mode.*parameter:DeprecationWarning")
@pytest.mark.parametrize(("mode", "shape"), [("L", (1, 9, 7)), ("RGB", (3, 9, 7))])
def test_class_folders_are_images_named_by_their_folder(folder: Path, mode: str, shape: tuple[int, ...]) -> None:
    """As torchvision's ImageFolder: classes in order of their names."""
    values = write_images(folder, mode=mode)
    facts, split, test = read(folder)
    assert (facts.classes, facts.input_shape) == (("class a", "class b", "class c"), shape)
    pixels = values[:, None] if mode == "L" else np.moveaxis(values, -1, 1)
    numbers = np.array(["abc".index("cab"[number % 3]) for number in range(N)])
    assert contents(split, test) == rows(pixels.astype(np.float32) / 255, numbers)


def test_class_folders_below_train_and_test_are_given_parts(folder: Path) -> None:
    """The layout in which most image sets are handed on."""
    write_images(folder / "train", mode="RGB", suffix=".jpg")
    write_images(folder / "test", mode="RGB", suffix=".jpg")
    facts, _, _ = read(folder, validation=0.1)
    assert (facts.n_train, facts.n_validation, facts.n_test) == (36, 4, 40)


def test_an_image_of_another_size_or_none_is_named(folder: Path) -> None:
    """One odd file among thousands can't be found by hand."""
    write_images(folder, mode="L")
    odd = folder / "class b" / "017b.png"
    Image.new("L", (8, 9)).save(odd)
    with pytest.raises(UserError, match=rf"{odd} is 8 x 9, while 40 of 41 are 7 x 9"):
        read(folder)
    odd.write_bytes(b"no image")
    with pytest.raises(UserError, match=f"{odd} is no image that Pillow can read"):
        read(folder)
    (folder / "class d").mkdir()
    with pytest.raises(UserError, match="class d holds no images"):
        read(folder)


def test_a_text_file_is_tokens_for_a_language_model(folder: Path) -> None:
    """Byte by byte, so that any language and encoding can be learned."""
    content = ("Übung macht den Meister. " * 40).encode()
    (folder / "a.txt").write_bytes(content)
    facts, split, (test_x, _) = read(folder / "a.txt", Task.LM, context=8, validation=0.1, test=0.1)
    assert (facts.input_shape, facts.vocabulary, facts.n_outputs) == ((8,), 256, 256)
    assert bytes(split.train_x[0].tolist()) == content[:8]
    assert bytes(split.validation_x[0].tolist()) == content[-2 * len(content) // 10 :][:8]
    assert bytes(test_x.ravel().tolist()) in content[-len(content) // 10 :]


def test_tokens_in_a_npy_file_say_their_vocabulary(folder: Path) -> None:
    """Whoever brings a tokenizer of their own brings numbers."""
    np.save(folder / "t.npy", np.arange(500) % 300)
    facts, split, _ = read(folder / "t.npy", Task.LM, context=4)
    assert (facts.vocabulary, split.train_x.dtype) == (300, np.int64)


def test_targets_of_other_tasks_are_columns(folder: Path) -> None:
    """Regression and labels through the whole of it, since their targets are stored otherwise."""
    facts, split, (_, test_y) = read(write_npz(folder, x=X, y=X[:, :2]), Task.REGRESSION)
    assert (facts.n_outputs, split.train_y.shape, test_y.dtype) == (2, (24, 2), np.float32)
    facts, split, _ = read(write_npz(folder, x=X, y=X > 0), Task.MULTILABEL)
    assert (facts.n_outputs, split.train_y.shape, set(np.unique(split.train_y))) == (6, (24, 6), {0, 1})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none", "no such file or folder here. Correct the path"),
        (lambda folder: folder, "without .npy files, IDX files or a folder of images"),
        (lambda folder: write_npz(folder, x=X), 'inputs without targets, and train.task = "classification"'),
        (lambda folder: write_npz(folder, x=X, y=Y[:-1]), "40 inputs and 39 targets"),
        (lambda folder: write_npz(folder, x=X[:0], y=Y[:0]), "there are no samples"),
        (lambda folder: write_npz(folder, x=X[:2], y=Y[:2]), "there are 2 samples, too few"),
        (lambda folder: write_npz(folder, test_x=X, test_y=Y), "there is test but no train"),
        (lambda folder: write_npz(folder, x=X, y=Y, train_x=X, train_y=Y), "there are x and train_x"),
        (lambda folder: write_npz(folder, x=X, y=np.array([{}] * N)), "holds Python objects"),
        (lambda folder: write_npy(folder, x=X, y=np.array([{}] * N)), "y.npy holds Python objects"),
        (lambda folder: write_npz(folder, x=X, y=Y / 3), 'Set train.task = "regression"'),
    ],
)
def test_what_can_not_be_used_is_refused_with_the_remedy(folder: Path, make, message: str) -> None:
    """One sentence that begins with the study file's own line."""
    path = make(folder)
    with pytest.raises(UserError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith(f'data.files = "{path}": ')


def test_an_npz_that_is_none_is_not_taken_for_python_objects(folder: Path) -> None:
    """`Save names as text` sends who renamed a csv file in the wrong direction."""
    (folder / "a.npz").write_text("1,2,3")
    with pytest.raises(UserError, match="it is no npz file"):
        read(folder / "a.npz")


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors", "a.npy", "a.csv"])
def test_a_file_that_is_not_what_its_name_says_is_refused(folder: Path, name: str) -> None:
    """Cut short, or something else altogether."""
    (folder / name).write_bytes(b"PK\x03\x04 nothing of the kind")
    with pytest.raises(UserError, match=r"can't be read|is none of \.npz"):
        read(folder / name)


def test_relative_paths_begin_in_the_current_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the preparing process too, which is what a user's command does."""
    write_npz(folder, x=X, y=Y)
    monkeypatch.chdir(folder)
    facts = describe(DataSpec(files="a.npz"))
    assert facts.n_train == 24
    assert len(search_split(DataSpec(files="a.npz"), facts).train_y) == 24
    with pytest.raises(UserError, match=f"relative paths begin at {folder}"):
        describe(DataSpec(files="b.npz"))
