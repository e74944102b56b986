"""Devices join: one command, a token that is good once; real Postgres, Valkey, TLS and processes."""

from __future__ import annotations

import contextlib
import json
import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from device_scene import PROGRAM, DeviceScene, environment, info, listening_scene, nasd, running

from nasd.domain.joining import JoinToken
from nasd.errors import UserError
from workers.joining import join, load


@pytest.fixture(scope="module")
def scene(module_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceScene]:
    with listening_scene(module_home, tmp_path_factory.mktemp("devices")) as found:
        yield found


def test_one_command_makes_a_machine_a_device_that_works(scene: DeviceScene, tmp_path: Path, wait_until):
    """The whole path as a user walks it: add, join on the device, list; reboot; nothing of the token remains."""
    added = json.loads(nasd("device", "add", "kitchen", "--kind", "pi5", "--json", NASD_HOME=scene.home).stdout)
    home = tmp_path / "device"
    command = added["command"].split()
    with running(*command[1:], NASD_HOME=home) as worker:
        wait_until(lambda: scene.listed("kitchen")["state"] == "live", limit_s=30)
        seen = psutil.Process(worker.pid)
        assert added["token"] not in " ".join(seen.cmdline())
        assert added["token"] not in " ".join(seen.environ().values())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0

    kept = home / "device.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert JoinToken.decode(added["token"]).secret not in kept.read_text()
    with running("worker", NASD_HOME=home) as again:  # as after a reboot
        wait_until(lambda: scene.listed("kitchen")["n_live"] == 1, limit_s=30)
        again.send_signal(signal.SIGTERM)
        assert again.wait(20) == 0
    assert scene.rows("select redis_password from nasd_core.login where name = 'kitchen'") == [(None,)]


def test_a_container_joins_by_its_environment_and_starts_again(scene: DeviceScene, tmp_path: Path):
    """NASD_JOIN stays set for the container's life: the second start must not need the token."""
    added = scene.add("contained")
    told = {"NASD_JOIN": added.token, "NASD_HOME": tmp_path}

    for _ in range(2):
        done = nasd("worker", "--once", **told)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    done = subprocess.run(
        [PROGRAM.with_name("python"), "-m", "workers", "--once"],
        env=environment(**told), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_token_is_read_from_standard_input(scene: DeviceScene, tmp_path: Path):
    """So that no shell's history keeps it."""
    done = nasd("worker", "join", "-", "--no-start", NASD_HOME=tmp_path, stdin=scene.add("piped").token + "\n")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("this machine is device piped, a pi5")


def test_a_token_is_good_once(scene: DeviceScene, tmp_path: Path):
    added = scene.add("once")
    join(added.token, tmp_path / "first.json")

    done = nasd("worker", "join", added.token, NASD_HOME=tmp_path / "second")

    assert done.returncode == 2
    assert done.stderr.startswith("error: the database refuses the token of device once: it was used before")
    assert done.stderr.count("\n") == 1
    assert load(tmp_path / "first.json") is not None


def test_a_token_that_expired_is_good_for_nothing(scene: DeviceScene, tmp_path: Path, wait_until):
    added = scene.add("late", valid_s=0.2)
    wait_until(lambda: scene.listed("late")["state"] == "expired")

    with pytest.raises(UserError, match="it was used before, was replaced or has expired"):
        join(added.token, tmp_path / "device.json")
    assert not (tmp_path / "device.json").exists()


def test_a_session_that_was_opened_in_time_does_not_join_later(scene: DeviceScene, wait_until):
    """Postgres ends passwords, not sessions: the function looks at the clock itself."""
    token = JoinToken.decode(scene.add("lingering", valid_s=1.0).token)
    with psycopg.connect(**_local(scene, token)) as connection:
        wait_until(lambda: scene.listed("lingering")["state"] == "expired")
        with pytest.raises(psycopg.DatabaseError, match="expired at"):
            connection.execute("select nasd_api.join_v1(%s, %s)", [_verifier(connection), "0" * 64])


def test_adding_again_makes_the_last_token_void(scene: DeviceScene, tmp_path: Path):
    """It was sent to the wrong board, or lost."""
    first, second = scene.add("twice"), scene.add("twice", "orin")

    with pytest.raises(UserError, match="was replaced"):
        join(first.token, tmp_path / "a.json")
    assert join(second.token, tmp_path / "b.json").kind == "orin"
    with pytest.raises(UserError, match="device twice has joined already"):
        scene.add("twice")


def test_who_holds_the_secret_and_has_not_joined_may_do_nothing(scene: DeviceScene):
    """A token that leaks is good for joining, which its owner then sees, and not for working unseen."""
    token = JoinToken.decode(scene.add("unjoined").token)
    with psycopg.connect(**_local(scene, token), autocommit=True) as connection:
        for statement in (
            f"select nasd_api.register_v1('{json.dumps({'protocol': 3, 'device_kind': 'pi5'})}')",
            "select * from nasd_core.login",
            "select nasd_core.drain_login('unjoined', true)",
        ):
            with pytest.raises(psycopg.DatabaseError, match=r"has not joined|permission denied"):
                connection.execute(statement)


def test_joining_ends_whoever_else_got_in_with_the_token(scene: DeviceScene, tmp_path: Path):
    added = scene.add("shared")
    with psycopg.connect(**_local(scene, JoinToken.decode(added.token)), autocommit=True) as thief:
        join(added.token, tmp_path / "device.json")

        with pytest.raises(psycopg.OperationalError):
            thief.execute("select 1")


def test_a_joining_that_was_broken_off_is_taken_up_again(scene: DeviceScene, tmp_path: Path, monkeypatch):
    """A board's power goes between the database's commit and its own disk: the same command mends it."""
    from workers import joining

    added, file = scene.add("flickering"), tmp_path / "device.json"
    keep = joining._keep

    def power_goes(path: Path, credentials: object) -> None:
        if path == file:
            raise KeyboardInterrupt
        keep(path, credentials)

    monkeypatch.setattr(joining, "_keep", power_goes)
    with pytest.raises(KeyboardInterrupt):
        join(added.token, file)
    monkeypatch.undo()
    assert scene.listed("flickering")["state"] == "joining"

    found = join(added.token, file)

    with contextlib.closing(redis.Redis.from_url(str(found.redis_url))) as client:
        assert client.ping()
    scene.store(found).register(info())
    assert sorted(path.name for path in tmp_path.iterdir() if "ca" not in path.name) == ["device.json"]


def test_a_machine_does_not_become_another_device_unasked(scene: DeviceScene, tmp_path: Path):
    """Its old credentials would be gone for good."""
    join(scene.add("one").token, tmp_path / "device.json")

    with pytest.raises(UserError, match="this machine is device one, and the token is for other"):
        join(scene.add("other").token, tmp_path / "device.json")


@pytest.mark.parametrize("token", ["", "nasd1-AAAA", "hello"])
def test_a_bad_token_is_one_sentence(tmp_path: Path, token: str):
    done = nasd("worker", "join", token, NASD_HOME=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: this token") or done.stderr.startswith("error: this is no token")
    assert done.stderr.count("\n") == 1


def test_a_services_that_is_away_is_one_sentence(scene: DeviceScene, tmp_path: Path):
    token = JoinToken.decode(scene.add("far").token)
    moved = token.addresses.database.replace(f":{scene.listening.port}", ":9")
    away = replace(token, addresses=replace(token.addresses, database=moved)).encode()

    done = nasd("worker", "join", away, NASD_HOME=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("error: the database at 127.0.0.1, port 9, can't be used from this device")
    assert done.stderr.count("\n") == 1


def _local(scene: DeviceScene, token: JoinToken) -> dict[str, object]:
    """The database as whoever holds the token sees it, past the door."""
    found = psycopg.conninfo.conninfo_to_dict(token.addresses.database)
    return {"host": str(scene.services.run_dir), "user": found["user"], "dbname": "nasd", "password": token.secret}


def _verifier(connection: psycopg.Connection) -> str:
    return connection.pgconn.encrypt_password(b"another", b"", b"scram-sha-256").decode()
