"""The doorbell on a real Valkey: wakes in milliseconds, obeys nobody, and may vanish at any moment."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path

import pytest
import redis
from fakes_lease import MemoryLeaseStore
from workers_scene import info, recipe, settings

from nasd.domain.ids import LOCAL, DeviceKind
from nasd.ports.queue import Queue
from nasd.queue.doorbell import ENTRY, RqDoorbell, assert_json, queue_name
from nasd.queue.listener import Listener
from nasd.services import locate_binaries
from workers.serving import serve
from workers.stats import WorkerStats
from workers.stop import Stop

TESTS = Path(__file__).resolve().parent.parent
PI5 = DeviceKind("pi5")


@pytest.fixture
def bell(services):
    """A clean doorbell with the worker's own rights."""
    admin = redis.Redis.from_url(services.redis_url("admin"))
    admin.flushall()
    admin.close()
    bell = RqDoorbell(services.redis_url("worker"))
    yield bell
    bell.close()


@pytest.fixture
def admin(services):
    connection = redis.Redis.from_url(services.redis_url("admin"))
    yield connection
    connection.close()


class Listening:
    """A listener in a thread; counts its answers and when they came."""

    def __init__(self, url: str | None, *, kind: DeviceKind = LOCAL, poll_s: float = 30.0) -> None:
        self.stop = Stop()
        self.answers: list[float] = []
        self.more = 0
        self.listener = Listener(url, kind, name="test", answer=self._answer, stop=self.stop, poll_s=poll_s)
        self._thread = threading.Thread(target=self.listener.run, daemon=True)
        self._thread.start()

    def _answer(self) -> bool:
        self.answers.append(time.perf_counter())
        self.more -= self.more > 0
        return self.more > 0

    def end(self, bell: RqDoorbell | None = None) -> None:
        self.stop.request()
        if bell is not None:
            bell.ring(self.listener.kind)  # wakes it from its wait
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()


@pytest.fixture
def listening(services, bell):
    made = []

    def make(**options) -> Listening:
        made.append(Listening(services.redis_url("worker"), **options))
        return made[-1]

    yield make
    for one in made:
        one.end(bell)


def is_waiting(admin: redis.Redis) -> bool:
    return any(client["cmd"] == "blpop" for client in admin.client_list())


def test_a_ring_is_added_to_an_empty_queue_only(bell: Queue):
    """However much work there is, a queue holds one message: Redis can't fill up."""
    assert [bell.ring(LOCAL), bell.ring(LOCAL), bell.ring(LOCAL)] == [True] * 3

    assert bell.depths([LOCAL, PI5]) == {LOCAL: 1, PI5: 0}


def test_a_message_carries_the_kind_and_nothing_else(bell, admin):
    """No pickle, no code, nothing worth stealing or forging."""
    bell.ring(PI5)

    (job_id,) = admin.lrange(f"rq:queue:{queue_name(PI5)}", 0, -1)
    message = admin.hgetall(f"rq:job:{job_id.decode()}")

    assert json.loads(zlib.decompress(message[b"data"])) == [ENTRY, None, ["pi5"], {}]
    assert message[b"timeout"] == b"-1"
    assert message[b"result_ttl"] == b"0"
    assert b"retries_left" not in message
    with pytest.raises(TypeError, match="JSON"):
        assert_json(pickle)


def test_an_unreachable_redis_raises_nothing(tmp_path):
    """The controller commits first and rings after; a dead doorbell must not undo that."""
    bell = RqDoorbell(f"unix://{tmp_path}/nobody.sock")

    assert bell.ring(LOCAL) is False
    assert bell.depths([LOCAL]) == {}


def test_a_ring_wakes_an_idle_worker_at_once(bell, admin, listening, wait_until):
    """Otherwise each trial would cost a poll interval."""
    one = listening()
    wait_until(lambda: is_waiting(admin))
    delays = []
    for _ in range(20):
        n, rung = len(one.answers), time.perf_counter()
        bell.ring(LOCAL)
        wait_until(lambda n=n: len(one.answers) > n)
        delays.append(one.answers[-1] - rung)
        wait_until(lambda: is_waiting(admin))

    assert sorted(delays)[10] < 0.05
    assert admin.keys("rq:job:*") == []


def test_a_lost_ring_costs_one_interval(listening, wait_until):
    """Redis promises nothing, so the worker looks for itself."""
    one = listening(poll_s=0.2)

    wait_until(lambda: len(one.answers) > 4, limit_s=3)


def test_a_worker_with_more_to_do_does_not_wait_for_a_ring(admin, listening, wait_until, bell):
    """It lets rq have a turn and goes straight on."""
    one = listening()
    wait_until(lambda: is_waiting(admin))
    n, one.more = len(one.answers), 5

    bell.ring(LOCAL)

    wait_until(lambda: len(one.answers) - n >= 5, limit_s=2)


def forge(admin: redis.Redis, data: bytes, **fields: bytes) -> None:
    admin.hset("rq:job:forged", mapping={"data": data, "origin": "x", "created_at": b"\xff", **fields})
    admin.rpush(f"rq:queue:{queue_name(LOCAL)}", "forged")


class Bomb:
    """What a pickle of a stranger may do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def hostile(path: Path) -> dict[str, tuple[bytes, dict[str, bytes]]]:
    good = json.dumps([ENTRY, None, ["local"], {}]).encode()
    command = json.dumps(["os.system", None, [f"touch {path}"], {}]).encode()
    callbacks = dict.fromkeys(("success_callback_name", "failure_callback_name"), b"os.system")
    return {
        "os.system": (zlib.compress(command), {}),
        "with callbacks": (zlib.compress(command), callbacks),
        "pickle": (zlib.compress(pickle.dumps(Bomb(path))), {}),
        "bare pickle": (pickle.dumps(Bomb(path)), {}),
        "pickled result": (zlib.compress(command), {"result": pickle.dumps(Bomb(path))}),
        "another kind's": (zlib.compress(good.replace(b"local", b"pi5")), {}),
        "with arguments": (zlib.compress(good.replace(b"{}", b'{"x": 1}')), {}),
        "a zip bomb": (zlib.compress(b" " * 5_000_000 + good), {}),
        "deeply nested": (zlib.compress(b"[" * 4000), {}),
        "no JSON": (b"\x00\xff", {}),
    }


@pytest.mark.parametrize("name", list(hostile(Path())))
def test_a_hostile_message_is_refused_and_counted(  # noqa: PLR0917 - fixtures
    tmp_path, admin, listening, bell, wait_until, name
):
    """Whoever can write to Redis must not be able to run anything on a worker, nor to end it."""
    one = listening()
    wait_until(lambda: is_waiting(admin))
    n = len(one.answers)
    data, fields = hostile(tmp_path / "executed")[name]

    forge(admin, data, **fields)
    wait_until(lambda: one.listener.refused == 1)

    assert not (tmp_path / "executed").exists()
    assert len(one.answers) == n
    assert not admin.exists("rq:job:forged")
    bell.ring(LOCAL)
    wait_until(lambda: len(one.answers) > n)


def test_a_message_without_a_body_and_odd_names_are_survived(admin, listening, bell, wait_until):
    """A flush may leave a list whose messages are gone."""
    one = listening()
    wait_until(lambda: is_waiting(admin))
    n = len(one.answers)
    for name in ("gone", b"\xff\xfe", "a:b", ""):
        admin.rpush(f"rq:queue:{queue_name(LOCAL)}", name)

    bell.ring(LOCAL)

    wait_until(lambda: admin.llen(f"rq:queue:{queue_name(LOCAL)}") == 0)
    bell.ring(LOCAL)
    wait_until(lambda: len(one.answers) > n)


def test_commands_through_redis_are_not_obeyed(admin, listening, bell, wait_until):
    """Rq would let anyone who can publish shut a worker down or suspend it."""
    one = listening()
    wait_until(lambda: is_waiting(admin))
    (key,) = admin.smembers("rq:workers")
    admin.set("rq:suspended", 1)
    admin.publish(f"rq:pubsub:{key.decode().removeprefix('rq:worker:')}", json.dumps({"command": "shutdown"}))
    n = len(one.answers)

    bell.ring(LOCAL)

    wait_until(lambda: len(one.answers) > n)


@pytest.fixture
def own_valkey():
    """A server of this test's own, to be killed and started again."""
    folder = Path(tempfile.mkdtemp(prefix="nasd-v-"))  # a socket's path must be short
    running = []

    def start() -> subprocess.Popen:
        socket = folder / "v.sock"
        server = subprocess.Popen(
            [locate_binaries().valkey_server, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        running.append(server)
        with redis.Redis(unix_socket_path=str(socket)) as client:
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
        return server

    yield start, f"unix://{folder}/v.sock"
    for server in running:
        server.kill()
        server.wait()
    shutil.rmtree(folder)


@pytest.mark.fault
def test_redis_may_be_killed_flushed_and_come_back(own_valkey, tmp_path, wait_until, monkeypatch):
    """All of it: work goes on by polling, and rings work again afterwards."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    start, url = own_valkey
    server = start()
    store, stop, stats = MemoryLeaseStore(), Stop(), WorkerStats()
    study = store.add_study(recipe("nothing"))
    arguments = (store, url, info(), settings(tmp_path, idle_poll_s=0.3))
    options = {"stats": stats, "stop": stop, "lock_directory": tmp_path}
    worker = threading.Thread(target=serve, args=arguments, kwargs=options, daemon=True)
    worker.start()

    def is_done(ring: bool = False) -> None:
        row = store.row(store.add(study))
        if ring:
            bell = RqDoorbell(url)
            assert bell.ring(LOCAL)
            bell.close()
        wait_until(lambda: row.state == "completed", limit_s=10)

    is_done(ring=True)
    with redis.Redis.from_url(url) as client:
        client.flushall()
    is_done()
    server.send_signal(signal.SIGSTOP)  # the worst outage: connections hang
    is_done()
    server.send_signal(signal.SIGCONT)
    is_done(ring=True)
    server.kill()
    server.wait()
    is_done()
    is_done()
    start()
    is_done(ring=True)
    assert worker.is_alive()
    stop.request()
    worker.join(timeout=10)
    assert not worker.is_alive()


def test_one_ring_wakes_as_many_workers_as_there_is_work(services, bell, tmp_path, wait_until, monkeypatch):
    """The controller rings once; whoever wakes passes it on, so that no worker idles beside waiting work."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    store = MemoryLeaseStore()
    stop = Stop()
    study = store.add_study(recipe("long"))
    threads = []
    for number in range(3):
        arguments = (store, services.redis_url("worker"), info(name=f"w{number}"), settings(tmp_path, idle_poll_s=30.0))
        options = {"stop": stop, "lock_directory": tmp_path}
        threads.append(threading.Thread(target=serve, args=arguments, kwargs=options, daemon=True))
        threads[-1].start()
    with redis.Redis.from_url(services.redis_url("admin")) as admin:
        wait_until(lambda: sum(client["cmd"] == "blpop" for client in admin.client_list()) == 3)

    for _ in range(3):
        store.add(study)
    bell.ring(LOCAL)

    wait_until(lambda: store.states() == ["running"] * 3, limit_s=3)
    stop.request()
    for thread in threads:
        wait_until(lambda thread=thread: bell.ring(LOCAL) and not thread.is_alive())


IDLE = """
import os, sys; from pathlib import Path
sys.path.insert(0, {tests!r})
from fakes_lease import MemoryLeaseStore
from workers.serving import serve
from workers_scene import info, recipe, settings
home = Path({home!r})
sys.exit(serve(MemoryLeaseStore(), os.environ["URL"], info(), settings(home, idle_poll_s=30.0), lock_directory=home))
"""


@pytest.mark.fault
def test_an_idle_worker_leaves_at_once(services, bell, admin, tmp_path, wait_until):
    """It waits inside Redis; Ctrl-C must not take a poll interval, and rq must not keep its record."""
    script = IDLE.format(tests=str(TESTS), home=str(tmp_path))
    environment = os.environ | {"URL": services.redis_url("worker")}
    with subprocess.Popen([sys.executable, "-c", script], env=environment) as worker:
        wait_until(lambda: is_waiting(admin))
        began = time.monotonic()

        worker.send_signal(signal.SIGTERM)

        assert worker.wait(timeout=10) == 0
    assert time.monotonic() - began < 2
    assert admin.smembers("rq:workers") == set()
