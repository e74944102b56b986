"""The pair's door to other machines: real TLS, real Postgres and Valkey behind it, on the loopback."""

from __future__ import annotations

import contextlib
import http.server
import os
import random
import socket
import ssl
import struct
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
import redis
from device_scene import DeviceScene, listening_scene

from nasd.errors import UserError
from nasd.services import authority_of, be_called, publish_artifacts, status, stop_listening, up, withdraw_artifacts
from nasd.services.home import Home
from workers.joining import Joined


@pytest.fixture(scope="module")
def scene(module_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceScene]:
    with listening_scene(module_home, tmp_path_factory.mktemp("devices")) as found:
        yield found


@pytest.fixture(scope="module")
def device(scene: DeviceScene) -> Joined:
    return scene.joined("door")


def parts(url: str, **changed: object) -> dict[str, object]:
    """Of a database's URL, as psycopg takes them."""
    return psycopg.conninfo.conninfo_to_dict(url) | changed


def trusting(scene: DeviceScene) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority_of(scene.home))


@contextlib.contextmanager
def dialled(scene: DeviceScene) -> Iterator[ssl.SSLSocket]:
    """A connection whose TLS is up."""
    plain = socket.create_connection(("127.0.0.1", scene.listening.port), timeout=10)
    with trusting(scene).wrap_socket(plain, server_hostname="127.0.0.1") as outer:
        yield outer


@pytest.mark.parametrize(
    "way", [{}, {"sslnegotiation": "direct"}, {"channel_binding": "prefer"}, {"gssencmode": "prefer"}]
)
def test_postgres_is_reached_however_a_client_begins_with_tls(device: Joined, way: dict[str, str]):
    with psycopg.connect(**parts(device.database_url, **way)) as connection:
        assert connection.execute("select session_user").fetchone() == (device.credentials.role,)


def test_a_device_checks_whom_it_talks_to(device: Joined, tmp_path: Path, fresh_home: Path):
    """Another certificate authority, or another name, and it says nothing of its password."""
    up(fresh_home, listen="127.0.0.1:0")
    other = tmp_path / "other.pem"
    other.write_text(authority_of(fresh_home))

    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(**parts(device.database_url, sslrootcert=str(other)))
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        psycopg.connect(**parts(device.database_url, host="elsewhere.example", hostaddr="127.0.0.1"))
    address = str(device.redis_url).partition("?")[0]
    client = redis.Redis.from_url(f"{address}?ssl_ca_certs={other}")
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        client.ping()


def test_nothing_is_said_in_the_clear(scene: DeviceScene, device: Joined):
    with pytest.raises(psycopg.OperationalError, match="this address speaks TLS alone"):
        psycopg.connect(**parts(device.database_url, sslmode="disable", sslrootcert=""))


@pytest.mark.parametrize("role", ["postgres", "nasd_controller", "nasd_worker", "nasd_reader", "nobody_device"])
def test_only_added_devices_get_as_far_as_a_password(scene: DeviceScene, device: Joined, role: str):
    """A superuser's password, if it leaks, must be worth nothing on the network."""
    own = urlsplit(scene.services.database_url("admin")).password
    with pytest.raises(psycopg.OperationalError, match="can't come from other machines"):
        psycopg.connect(**parts(device.database_url, user=role, password=own))


def test_what_is_large_arrives_whole_in_both_directions(device: Joined):
    content = random.Random(1).randbytes(12_000_000)
    with psycopg.connect(device.database_url) as connection:
        row = connection.execute("select sha256(%s), %s::bytea", [content, content], binary=True).fetchone()
        assert row is not None
        assert row[1] == content


def test_a_statement_can_be_cancelled(device: Joined):
    """Cancelling is a second connection with a message of its own."""
    with psycopg.connect(device.database_url) as connection:
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("select pg_sleep(20)")
        timer.join()


def test_redis_is_reached(device: Joined):
    with contextlib.closing(redis.Redis.from_url(str(device.redis_url))) as client:
        assert client.rpush("rq:queue:nasd:pi5", "x" * 5_000_000) == 1
        assert client.blpop(["rq:queue:nasd:pi5"], 1) == (b"rq:queue:nasd:pi5", b"x" * 5_000_000)


class _Artifacts(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_artifacts_are_reached_where_they_are_served(scene: DeviceScene):
    url = f"https://127.0.0.1:{scene.listening.port}/artifacts/ab"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Artifacts) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        publish_artifacts(scene.home, server.server_port)
        with urllib.request.urlopen(url, context=trusting(scene), timeout=10) as answer:
            assert answer.read() == b"/artifacts/ab"
        server.shutdown()
    withdraw_artifacts(scene.home, server.server_port)

    with pytest.raises(OSError):
        urllib.request.urlopen(url, context=trusting(scene), timeout=10)


def test_a_controller_that_leaves_takes_no_other_controllers_artifacts_along(scene: DeviceScene):
    """Left by itself or killed: else boards are told that no artifacts are served while some are."""
    url = f"https://127.0.0.1:{scene.listening.port}/artifacts/ab"
    left, killed, stays = (http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Artifacts) for _ in range(3))
    with stays:
        threading.Thread(target=stays.serve_forever, daemon=True).start()
        for each in (left, stays, killed):
            publish_artifacts(scene.home, each.server_port)
        for each in (left, killed):
            each.server_close()
        withdraw_artifacts(scene.home, left.server_port)

        with urllib.request.urlopen(url, context=trusting(scene), timeout=10) as answer:
            assert answer.read() == b"/artifacts/ab"
        stays.shutdown()
    withdraw_artifacts(scene.home, stays.server_port)


def test_noise_opens_nothing_and_breaks_nothing(scene: DeviceScene, device: Joined):
    """Whatever a stranger sends, before TLS and inside it, costs that connection alone."""
    rng = random.Random(7)
    begins = [
        b"",
        b"\x16\x03\x01",
        struct.pack("!ii", 8, 80877103),
        struct.pack("!i", 2**31 - 1),
        b"GET / HTTP/1.1\r\n",
    ]
    for _ in range(40):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", scene.listening.port), 5) as stranger:
            stranger.settimeout(0.2)
            stranger.sendall(rng.choice(begins) + rng.randbytes(rng.randrange(64)))
            stranger.shutdown(socket.SHUT_WR)
            stranger.recv(4096)
    for _ in range(40):
        with contextlib.suppress(OSError), dialled(scene) as outer:
            outer.settimeout(0.2)
            outer.sendall(rng.choice([*begins, b"*1\r\n"]) + rng.randbytes(rng.randrange(1, 64)))
            outer.recv(4096)

    with psycopg.connect(device.database_url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_killed_door_opens_again_at_the_same_address(scene: DeviceScene, device: Joined, wait_until):
    pid = status(scene.home).terminator_pid
    assert pid is not None
    psutil.Process(pid).kill()

    def answers() -> bool:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(device.database_url):
            return True
        return False

    wait_until(answers)
    wait_until(lambda: status(scene.home).terminator_pid not in (None, pid))
    assert status(scene.home).postgres_pid is not None


def test_it_ends_with_its_owner_and_comes_back_with_the_next(scene: DeviceScene, device: Joined, wait_until):
    """An orphan would hold the port for ever; a change of user takes away what binds it to its parent's life."""
    before = status(scene.home)
    assert before.owner_pid is not None
    assert before.terminator_pid is not None
    psutil.Process(before.owner_pid).kill()
    wait_until(lambda: not psutil.pid_exists(before.terminator_pid))

    scene.services.revive()

    wait_until(lambda: status(scene.home).terminator_pid is not None)
    with psycopg.connect(device.database_url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_it_serves_without_the_rights_of_root(scene: DeviceScene, wait_until):
    wait_until(lambda: status(scene.home).terminator_pid is not None)
    assert 0 not in psutil.Process(status(scene.home).terminator_pid).uids()


def test_a_further_name_is_certified_without_ending_anything(scene: DeviceScene, device: Joined):
    """A machine gets a new address; what devices were told before still holds."""
    with psycopg.connect(device.database_url) as before:
        be_called(scene.home, "search.example.org")
        named = parts(device.database_url, host="search.example.org", hostaddr="127.0.0.1")
        with psycopg.connect(**named) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        assert before.execute("select 1").fetchone() == (1,)
    with psycopg.connect(device.database_url) as again:
        assert again.execute("select 1").fetchone() == (1,)


def test_it_can_move_and_be_shut(home: Path, wait_until):
    """`--listen` elsewhere moves it; `--no-listen` shuts it; a start keeps what was arranged."""
    first = up(home, listen="127.0.0.1:0")
    second = up(home, listen="127.0.0.1:0", names=("board.example.org",))
    assert first is not None
    assert second is not None
    assert second.names[0] == "board.example.org"
    assert up(home) == second

    def is_open(port: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
        return False

    assert is_open(second.port)
    assert not is_open(first.port)
    stop_listening(home)
    wait_until(lambda: not is_open(second.port))
    assert up(home) is None


@pytest.mark.parametrize(
    "text", ["", ":7432", "localhost:port", "127.0.0.1:70000", "192.0.2.1:0", "no.such.host.invalid"]
)
def test_an_address_that_is_none_is_refused_by_a_sentence(home: Path, text: str):
    with pytest.raises(UserError, match=r"^--listen"):
        up(home, listen=text)
    assert not (Home.at(home) / "listen.json").exists()


def test_a_taken_port_is_refused_by_a_sentence(home: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="can't listen there"):
        up(home, listen=f"127.0.0.1:{taken.getsockname()[1]}")
