"""What SIGKILL does to the embedded pair: no orphan, no lost row, and the next command finds everything as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from nasd.services import Services, attach, down, status
from nasd.services.process import command_of

pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(sys.platform != "linux", reason="the death signal that leaves no orphan is Linux's"),
]
CLIENT = """
import sys
from pathlib import Path
from nasd.services import attach
services = attach(Path(sys.argv[1]))
print("attached", flush=True)
sys.stdin.read()
"""


def remember(services: Services, value: int) -> None:
    """Store a row and a key, both durable when this returns."""
    with psycopg.connect(services.database_url("admin"), autocommit=True) as connection:
        connection.execute("create table if not exists kept (value int)")
        connection.execute("insert into kept values (%s)", [value])
    valkey = redis.from_url(services.redis_url("controller"))
    pinned = valkey.client()  # WAITAOF speaks of the writes of its own connection
    pinned.rpush("kept", value)
    assert pinned.execute_command("WAITAOF", 1, 0, 5000)[0] == 1
    pinned.close()
    valkey.close()


def remembered(services: Services) -> tuple[list[int], list[int]]:
    with psycopg.connect(services.database_url("admin")) as connection:
        rows = [value for (value,) in connection.execute("select value from kept order by value")]
    valkey = redis.from_url(services.redis_url("controller"))
    keys = [int(value) for value in valkey.lrange("kept", 0, -1)]
    valkey.close()
    return rows, keys


def kill_owner(home: Path, wait_until) -> None:
    """Kill it and wait until the kernel has freed its lock; its servers may still be going."""
    os.kill(status(home).owner_pid, signal.SIGKILL)
    wait_until(lambda: not status(home).is_running, what="the owner's end")


def is_alive(pid: int | None) -> bool:
    return pid is not None and command_of(pid) != ""


def test_killed_owner_leaves_no_orphan_and_loses_no_row(home, wait_until):
    """An orphan would hold the data folder against every later start."""
    with attach(home) as services:
        remember(services, 1)
        before = status(home)
        kill_owner(home, wait_until)

        wait_until(
            lambda: not (is_alive(before.postgres_pid) or is_alive(before.valkey_pid)),
            limit_s=2.0,
            what="the end of both servers",
        )
        with attach(home) as again:
            assert remembered(again) == ([1], [1])
            assert remembered(services) == ([1], [1])  # the address stands: reconnecting is enough


def test_owner_killed_and_replaced_at_once(home, wait_until):
    """The next command does not wait for the old servers to be gone; the new owner has to."""
    with attach(home) as services:
        remember(services, 1)
        for value in (2, 3, 4):
            kill_owner(home, wait_until)
            with attach(home) as again:
                remember(again, value)

        assert remembered(services) == ([1, 2, 3, 4], [1, 2, 3, 4])


def test_client_revives_the_pair_of_a_killed_owner(home, wait_until):
    """A controller in mid-study must not need a new command to get its database back."""
    with attach(home) as services:
        remember(services, 1)
        kill_owner(home, wait_until)

        services.revive()

        assert remembered(services) == ([1], [1])


@pytest.mark.parametrize("victims", [("postgres_pid",), ("valkey_pid",), ("postgres_pid", "valkey_pid")])
def test_owner_restarts_a_killed_server(home, wait_until, victims):
    """Clients hold addresses, not processes: for them a server's death is a reconnect."""
    with attach(home) as services:
        remember(services, 1)
        before = status(home)
        for victim in victims:
            os.kill(getattr(before, victim), signal.SIGKILL)

        def is_replaced() -> bool:
            now = status(home)
            return now.is_ready and all(getattr(now, name) != getattr(before, name) for name in victims)

        wait_until(is_replaced)
        assert before.owner_pid == status(home).owner_pid
        assert remembered(services) == ([1], [1])


def test_everything_killed_at_once_starts_again(home, wait_until):
    """A power cut, as far as processes can play one."""
    with attach(home) as services:
        remember(services, 1)
        now = status(home)
        for pid in (now.postgres_pid, now.valkey_pid):
            os.kill(pid, signal.SIGKILL)
        kill_owner(home, wait_until)

        with attach(home) as again:
            assert remembered(again) == ([1], [1])


def test_stale_pid_file_naming_a_live_foreign_process_is_no_obstacle(home):
    """After a reboot the old postmaster's pid is somebody else's, and Postgres alone would refuse to start."""
    with attach(home) as services:
        remember(services, 1)
        now = status(home)
        stale = (home / "postgres" / "postmaster.pid").read_text()
        os.kill(now.postgres_pid, signal.SIGKILL)
        os.kill(now.owner_pid, signal.SIGKILL)
    down(home, force=True)
    data = (home / "postgres").stat()
    bystander = subprocess.Popen(["sleep", "100"], user=data.st_uid if os.geteuid() == 0 else None)
    try:
        pid_file = home / "postgres" / "postmaster.pid"
        pid_file.write_text(stale.replace(str(now.postgres_pid), str(bystander.pid), 1))
        os.chown(pid_file, data.st_uid, data.st_gid)
        (home / "postgres.lock").write_text(str(bystander.pid))

        with attach(home) as services:
            assert remembered(services) == ([1], [1])
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_owner_killed_while_the_data_folder_is_made(fresh_home, wait_until):
    """Half a data folder must not be taken for a whole one."""
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(fresh_home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    wait_until((fresh_home / "postgres.new" / "PG_VERSION").exists, what="the beginning of initdb")
    os.kill(int((fresh_home / "owner.lock").read_text()), signal.SIGKILL)

    assert client.stdout.readline() == "attached\n"  # by itself: it saw that the owner was gone
    with attach(fresh_home) as services:
        remember(services, 1)
        assert remembered(services) == ([1], [1])
    client.communicate()


def test_killed_client_counts_as_gone(home, wait_until):
    """A `nasd run` that was killed must not keep the servers for ever."""
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdout.readline() == "attached\n"
    before = status(home)
    client.kill()
    client.communicate()

    wait_until(lambda: not status(home).is_running)
    assert not is_alive(before.postgres_pid)
    assert not is_alive(before.valkey_pid)


def test_server_that_cannot_start_is_one_sentence_with_the_log(home):
    """The user sees why, not a time-out."""
    attach(home).close()
    down(home, force=True)
    control = home / "postgres" / "global" / "pg_control"
    control.write_bytes(b"\0" * 8192)

    with pytest.raises(Exception, match=r"postgres does not start: .*postgres\.log"):
        attach(home)
    assert not (Path(home) / "run" / "valkey.sock").exists()


def test_unreadable_valkey_data_is_set_aside(home):
    """Valkey is a doorbell: its broken file must not keep anybody from the rows, which are the truth."""
    with attach(home) as services:
        remember(services, 1)
    down(home, force=True)
    for file in (home / "valkey" / "appendonlydir").glob("*.rdb"):
        file.write_bytes(b"not a dump")

    with attach(home) as services:
        assert remembered(services) == ([1], [])
    assert (home / "valkey.broken" / "appendonlydir").is_dir()
