"""The embedded pair as its users meet it: real processes, real sockets, real passwords."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from nasd.app import endpoints
from nasd.config import Settings
from nasd.errors import Unavailable
from nasd.services import attach, down, status, up
from nasd.services.home import Home
from nasd.services.owner import POLL_S
from nasd.store import migrate

CLIENT = """
import sys
from pathlib import Path
from nasd.services import attach
with attach(Path(sys.argv[1])) as services:
    print("attached", flush=True)
    sys.stdin.read()
"""


class Clients:
    """Other processes that use a home until told to end."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[str]] = []

    def start(self, home: Path, **how) -> subprocess.Popen[str]:
        client = subprocess.Popen(
            how.pop("command", [sys.executable, "-c", CLIENT, str(home)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **how,
        )
        self._running.append(client)
        return client

    def end(self, client: subprocess.Popen[str]) -> None:
        client.communicate()
        self._running.remove(client)

    def end_all(self) -> None:
        for client in list(self._running):
            self.end(client)


@pytest.fixture
def clients() -> Iterator[Clients]:
    started = Clients()
    yield started
    started.end_all()


def query(url: str, sql: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def command_lines() -> str:
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes().decode(errors="replace"))
        except OSError:  # it ended meanwhile
            continue
    return "\n".join(lines)


def test_four_processes_at_once_share_one_owner(fresh_home, clients):
    """`nasd run` starts its controller and workers together: a second pair would split the truth."""
    started = [clients.start(fresh_home) for _ in range(4)]

    assert [client.stdout.readline() for client in started] == ["attached\n"] * 4
    log = Home.at(fresh_home).services_log.read_text()
    assert log.count("postgres is ready") == 1
    assert log.count("valkey is ready") == 1


def test_database_and_password_protected_roles_are_there(services):
    """Everything else is built on these addresses."""
    admin = services.database_url("admin")

    assert query(
        admin,
        "select current_database(), current_user, current_setting('fsync'), current_setting('synchronous_commit'),"
        " current_setting('server_encoding')",
    ) == [("nasd", "postgres", "on", "on", "UTF8")]
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://postgres@/nasd?host={services.run_dir}", passfile="/dev/null")
    assert {"nasd_controller", "nasd_worker", "nasd_reader"} == set(services.role_passwords())


def test_passwords_of_the_role_files_open_the_database(services, database_template):
    """The migrations give the roles these passwords; the URL must carry the same."""
    roles = ("controller", "worker", "reader")
    users = [query(services.database_url(role), "select current_user") for role in roles]

    assert users == [[(f"nasd_{role}",)] for role in roles]


def test_a_start_that_was_killed_after_migrating_does_not_lock_the_roles_out(fresh_home):
    """The passwords come after the schema; whoever starts next must not take the newest schema for a finished one."""
    with attach(fresh_home) as services:
        migrate.upgrade(services.database_url("admin"), role_prefix="nasd")
        with pytest.raises(psycopg.OperationalError):
            query(services.database_url("controller"), "select 1")
        found = endpoints.Endpoints(
            database={"admin": services.database_url("admin")}, redis={}, home=fresh_home, services=services
        )

        endpoints.prepare(found, Settings())

        for role in ("controller", "worker", "reader"):
            assert query(services.database_url(role), "select current_user") == [(f"nasd_{role}",)]


def test_worker_runs_rq_jobs_and_nothing_dangerous(services):
    """A worker is not trusted: it may do its work and neither flush, configure nor read what is not rq's."""
    controller = redis.from_url(services.redis_url("controller"))
    worker = redis.from_url(services.redis_url("worker"))
    job = Queue("nasd:test", connection=controller, serializer=JSONSerializer).enqueue("operator.add", 2, 3)

    SimpleWorker(["nasd:test"], connection=worker, serializer=JSONSerializer).work(burst=True)

    assert job.return_value(refresh=True) == 5
    for forbidden in (["FLUSHALL"], ["CONFIG", "GET", "*"], ["SET", "other", "1"], ["KEYS", "*"], ["ACL", "LIST"]):
        with pytest.raises(redis.exceptions.NoPermissionError):
            worker.execute_command(*forbidden)
    with pytest.raises(redis.exceptions.NoPermissionError):
        controller.execute_command("FLUSHALL")
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.from_url(f"unix://{services.run_dir}/valkey.sock").ping()
    job.delete()
    controller.close()
    worker.close()


@pytest.mark.skipif(not Path("/proc").exists(), reason="command lines are read from /proc")
def test_secrets_are_private_files_and_on_no_command_line(fresh_home, clients):
    """Any user of the machine reads command lines; also while the data folder is being made."""
    client = clients.start(fresh_home)
    seen = []
    while not (fresh_home / "state.json").exists() or '"ready"' not in (fresh_home / "state.json").read_text():
        seen.append(command_lines())
    assert client.stdout.readline() == "attached\n"
    seen.append(command_lines())

    secrets = list((fresh_home / "secrets").iterdir())

    assert len(secrets) == 7
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in secrets}
    assert stat.S_IMODE((fresh_home / "secrets").stat().st_mode) == 0o700
    assert [file.name for file in secrets if file.read_text().strip() in "\n".join(seen)] == []
    for folder in ("postgres", "valkey", "run"):
        assert stat.S_IMODE((fresh_home / folder).stat().st_mode) == 0o700


def test_owner_leaves_with_the_last_client_and_not_before(home, clients, wait_until):
    """One `nasd run` ending must not take the database from another."""
    first, second = clients.start(home), clients.start(home)
    assert [first.stdout.readline(), second.stdout.readline()] == ["attached\n"] * 2
    with attach(home) as mine:
        clients.end(first)
        clients.end(second)
        assert query(mine.database_url("admin"), "select 1") == [(1,)]
        before = status(home)

    wait_until(lambda: not status(home).is_running)
    assert before.is_ready
    assert not Path(f"/proc/{before.postgres_pid}").exists()


def test_client_that_comes_while_the_owner_leaves_gets_working_services(home, wait_until):
    """The gap between two commands of a script is exactly the owner's leaving time."""
    for _ in range(3):
        attach(home).close()
        wait_until(lambda: not (home / "state.json").exists(), what="the owner's leaving")

        with attach(home) as services:
            assert query(services.database_url("admin"), "select 1") == [(1,)]


def test_up_stays_without_clients_until_down(home, wait_until):
    """`nasd services up` is for those who connect with tools that know nothing of our locks."""
    up(home)
    before = status(home)
    attach(home).close()
    leaving_time = time.monotonic() + 3 * POLL_S
    wait_until(lambda: time.monotonic() > leaving_time)

    assert before.is_kept
    assert status(home).owner_pid == before.owner_pid
    assert status(home).is_ready
    assert down(home)
    assert not status(home).is_running
    assert not down(home)


def test_down_names_who_uses_the_services_unless_forced(home, clients):
    """Ending a search by accident costs its owner an evening."""
    client = clients.start(home)
    assert client.stdout.readline() == "attached\n"

    if sys.platform == "linux":
        with pytest.raises(Unavailable, match=f"used by pid {client.pid} "):
            down(home)
    assert status(home).is_ready
    assert down(home, force=True)
    assert not status(home).is_running


def test_warm_attach_takes_no_noticeable_time(services):
    """Every reading command attaches first."""
    code = (
        "import time, sys; from pathlib import Path; from nasd.services import attach; begin = time.process_time()\n"
        "attach(Path(sys.argv[1])).close(); print(time.process_time() - begin)\n"
        "assert not {'psycopg', 'redis', 'sqlalchemy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(services.home)], capture_output=True, text=True, check=True)

    assert float(done.stdout) < 0.1


def test_status_starts_nothing_and_tells_what_runs(fresh_home: Path, wait_until: Callable[..., None]):
    """`nasd services status` is asked most when something is wrong."""
    assert not status(fresh_home).is_running
    assert not fresh_home.exists()

    with attach(fresh_home):
        now = status(fresh_home)

    assert (now.is_running, now.is_ready, now.is_kept) == (True, True, False)
    assert (now.postgres_version, now.valkey_version) == ("18.6", "9.1.2")
    assert now.postgres_bytes > 2**20
    if sys.platform == "linux":
        assert os.getpid() in now.client_pids
    wait_until(lambda: not status(fresh_home).is_running)
