"""A quota of CPU time: real where this user may make control groups, and a clear refusal elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from nasd.app.quota import CpuQuota
from nasd.errors import Unavailable

SPIN = (
    "import sys, time; sys.stdin.readline()\n"
    "began, used = time.perf_counter(), time.process_time()\n"
    "while time.perf_counter() - began < 1.5: pass\n"
    "print((time.process_time() - used) / (time.perf_counter() - began))"
)


def test_a_process_gets_no_more_than_its_share():
    """Half a CPU is half a CPU, however idle the rest is."""
    try:
        quota = CpuQuota(0.25, name="test")
    except Unavailable as error:
        pytest.skip(str(error))
    try:
        with subprocess.Popen(
            [sys.executable, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            quota.hold(child.pid)
            said, _ = child.communicate("\n")
    finally:
        quota.close()

    assert 0 < float(said) < 0.4
    with pytest.raises(OSError, match="No such file"):
        quota.hold(1)


@pytest.mark.parametrize(
    ("own", "groups"), [("0::/slice/unit\n", "slice"), ("0::/unit\n", "."), ("4:memory:/a\n0::/\n", ".")]
)
def test_on_version_two_the_group_stands_where_the_kernel_gives_it_a_limit(tmp_path, own, groups, monkeypatch):
    """A group with processes may have none below it: then its parent is asked. The kernel's files are played here."""
    root = tmp_path / "cgroup"
    (root / "slice" / "unit").mkdir(parents=True)
    (root / "unit").mkdir()
    (root / "cgroup.controllers").write_text("cpu memory")
    (tmp_path / "own").write_text(own)
    make = Path.mkdir

    def kernel(folder: Path) -> None:
        make(folder)
        if folder.parent == (root / groups).resolve():
            (folder / "cpu.max").write_text("max 100000")
            (folder / "cgroup.procs").write_text("")

    monkeypatch.setattr(Path, "mkdir", kernel)
    quota = CpuQuota(0.5, name="a", root=root, own=tmp_path / "own")
    quota.hold(4711)

    (folder,) = (root / groups).glob("nasd-*")
    assert ((folder / "cpu.max").read_text(), (folder / "cgroup.procs").read_text()) == ("50000 100000", "4711")
    assert [path for path in root.rglob("nasd-*") if path != folder] == []


def test_where_no_group_can_be_made_it_is_refused(tmp_path):
    """A quota that is not applied would make figures that claim one."""
    (tmp_path / "own").write_text("1:name=systemd:/\n0::/\n")
    with pytest.raises(Unavailable, match=r"cpu_quota = 0\.5 can't be applied: this system has no control groups"):
        CpuQuota(0.5, name="a", root=tmp_path, own=tmp_path / "own")
    with pytest.raises(Unavailable, match="can't be applied"):
        CpuQuota(0.5, name="a", root=tmp_path, own=tmp_path / "none")
