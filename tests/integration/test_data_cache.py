"""The cache of prepared splits: made once a machine, by whoever comes first, and never believed without its hash."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nasd import data
from nasd.config import cache_folder
from nasd.data import cache, describe, search_split
from nasd.data.final import test_split as final_split
from nasd.domain.data import Task
from nasd.domain.study import DataSpec
from nasd.errors import Unavailable

SPEC = DataSpec(use="digits")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of this test alone."""
    monkeypatch.setenv("NASD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def forget() -> None:
    """As a new process would begin."""
    data._opened.cache_clear()


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.rglob(pattern)
    return path


def test_splits_are_mapped_from_the_cache_not_read(folder: Path) -> None:
    """Workers of one machine share the memory; two copies of a large set would not fit."""
    split = search_split(SPEC)
    base = split.train_x
    while not isinstance(base, np.memmap):
        base = base.base
    assert Path(base.filename).is_relative_to(folder)


def test_a_damaged_file_is_made_again(folder: Path) -> None:
    """A full disk or a lost power supply must not change anybody's training data."""
    facts = describe(SPEC)
    before = search_split(SPEC, facts).train_x.copy()
    path = folder / "data-1" / "search" / f"{facts.sha256['train']}.x.npy"
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    for damaged in (flipped, content[:-100], b"", None):
        forget()
        path.unlink()  # what is mapped by now stays as it was
        if damaged is not None:
            path.write_bytes(damaged)
        assert np.array_equal(search_split(SPEC, facts).train_x, before)
        assert path.read_bytes() == content


def test_damaged_test_splits_and_facts_are_made_again(folder: Path) -> None:
    """The same for what only the final retraining reads, and for what was remembered."""
    facts = describe(SPEC)
    test_x, _ = final_split(SPEC, facts)
    kept = test_x.copy()
    only(folder, f"{facts.sha256['test']}.y.npy").write_bytes(b"\x93NUMPY")
    only(folder, "facts/*.json").write_text("{")
    assert describe(SPEC) == facts
    only(folder, f"{facts.sha256['test']}.y.npy").unlink()
    assert np.array_equal(final_split(SPEC, facts)[0], kept)


def test_a_text_that_was_damaged_is_made_again(folder: Path) -> None:
    """It is stored otherwise than rows are."""
    spec = DataSpec(use="text")
    facts = describe(spec, Task.LM)
    only(folder, f"search/{facts.sha256['train']}.tokens.npy").write_bytes(b"")
    assert search_split(spec, facts).train_x.shape == (facts.n_train, 64)


def test_the_same_values_in_another_shape_do_not_get_in_each_others_way(folder: Path, tmp_path: Path) -> None:
    """A hash covers values alone; rows of 4 numbers and images of 2 x 2 may hold the same ones."""
    x, y = np.arange(80, dtype=np.float32).reshape(20, 4), np.arange(20) % 2
    np.savez(tmp_path / "flat.npz", x=x, y=y)
    np.savez(tmp_path / "square.npz", x=x.reshape(20, 1, 2, 2), y=y)
    specs = [DataSpec(files=str(tmp_path / name)) for name in ("flat.npz", "square.npz")]
    facts = [describe(spec) for spec in specs]
    assert facts[0].sha256 == facts[1].sha256
    shapes = [search_split(spec, found).train_x.shape for spec, found in zip(specs, facts, strict=True)]
    assert shapes == [(12, 4), (12, 1, 2, 2)]
    assert len(list(folder.rglob("search/*.x.npy"))) == 2


def test_processes_that_prepare_at_once_all_get_the_same(folder: Path) -> None:
    """`nasd run` starts several workers in the same second on a machine that has never seen the data."""
    code = (
        "from nasd.data import describe, search_split; from nasd.domain.study import DataSpec; "
        "spec = DataSpec(use='digits'); facts = describe(spec); split = search_split(spec, facts); "
        "print(facts.sha256['test'], float(split.train_x.sum()))"
    )
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate() for process in running]
    assert {error for _, error in said} == {""}
    assert len({out for out, _ in said}) == 1
    assert "" not in {out for out, _ in said}
    names = sorted(path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != "locks")
    assert len(names) == len(set(names)) == 7
    assert not any(name.startswith("new-") for name in names)


def test_what_a_killed_process_left_is_swept_when_it_is_old(folder: Path) -> None:
    """Half-written files of another process that is at work now must stay."""
    area = folder / "data-1" / "search"
    area.mkdir(parents=True)
    for name, age_s in (("new-old", 90_000), ("new-fresh", 0)):
        (area / name).touch()
        now = (area / name).stat().st_mtime
        os.utime(area / name, (now - age_s, now - age_s))
    describe(SPEC)
    assert [path.name for path in area.glob("new-*")] == ["new-fresh"]


def test_the_folder_is_the_users_cache_unless_they_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The XDG rules, which system administrators know."""
    monkeypatch.delenv("NASD_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == (tmp_path / ".cache" / "nasd", False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/c")
    assert cache_folder() == (Path("/var/c/nasd"), False)
    monkeypatch.setenv("NASD_CACHE", "~/c")
    assert cache_folder() == (tmp_path / "c", True)


def test_without_a_usable_home_the_temporary_folder_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user often has none; a folder that somebody else put there must not be trusted."""
    monkeypatch.delenv("NASD_CACHE")
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    own = tmp_path / f"nasd-cache-{os.getuid()}"
    assert cache.folder() == own / "data-1"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    own.chmod(0o777)
    with pytest.raises(Unavailable, match=r"is not a folder of yours alone\. Set NASD_CACHE"):
        cache.folder()


def test_a_folder_that_was_asked_for_and_can_not_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Falling back silently would fill another disk than the one that was meant."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("NASD_CACHE", str(tmp_path / "file"))
    with pytest.raises(Unavailable, match=rf'data\.use = "digits": .*{tmp_path}/file'):
        describe(SPEC)
