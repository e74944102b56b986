"""A limit on memory is the kernel's: what fits lives, what does not is killed, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "bench"))

from memory_group import NoGroup, limited_to

MIB = 1 << 20
TAKE = "import sys; taken = b'x' * int(sys.argv[1]); print(len(taken))"


def _take(n_bytes: int, limit: int) -> tuple[subprocess.CompletedProcess[str], int, int | None, Path]:
    try:
        with limited_to(limit) as group:
            command = group.command(sys.executable, "-c", TAKE, str(n_bytes))
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            return done, group.n_killed, group.peak, group.folder
    except NoGroup as error:
        pytest.skip(str(error))


def test_what_fits_lives_and_its_peak_is_told() -> None:
    """Else every network would look too large."""
    done, n_killed, peak, folder = _take(32 * MIB, 64 * MIB)
    assert (done.returncode, done.stdout.strip(), n_killed) == (0, str(32 * MIB), 0)
    assert peak is None or 32 * MIB <= peak <= 64 * MIB
    assert not folder.exists()


def test_what_does_not_fit_is_killed_and_counted() -> None:
    """Else no death would ever be seen, and every prediction would look large enough."""
    done, n_killed, _, folder = _take(96 * MIB, 64 * MIB)
    assert done.returncode == -9
    assert n_killed == 1
    assert not folder.exists()


@pytest.mark.parametrize("line", ["3:cpu:/", "3:memory:/", "0::/"])
def test_where_no_group_can_be_made_it_is_said(tmp_path: Path, line: str) -> None:
    """A folder that makes no files of its own is not a control group, and must not pass for one without a limit."""
    (tmp_path / "own").write_text(line)
    (tmp_path / "memory").mkdir()
    (tmp_path / "cgroup.controllers").write_text("memory")
    with pytest.raises(NoGroup, match="no memory control group"), limited_to(MIB, root=tmp_path, own=tmp_path / "own"):
        pass
    assert list((tmp_path / "memory").iterdir()) == []


def test_without_proc_it_is_said(tmp_path: Path) -> None:
    """On another system there is no such file."""
    with pytest.raises(NoGroup, match="this system"), limited_to(MIB, root=tmp_path, own=tmp_path / "absent"):
        pass
