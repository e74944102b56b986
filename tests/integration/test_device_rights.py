"""What an added device may do, and what is left of that once it is drained or revoked, in Postgres and in Redis."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from device_scene import DeviceScene, info, listening_scene, nasd, running, two_measurements

from nasd.app import devices
from nasd.app.artifacts import archive_of, served
from nasd.artifacts import open_store
from nasd.config import Settings
from nasd.domain.measurement import Measurement, Outcome, OutcomeKind
from nasd.errors import ArtifactsAway, Unavailable
from nasd.services import status
from nasd.store.connect import DatabaseAway
from nasd.store.studies import PgStudies
from workers.joining import join

LATENCY = Outcome(OutcomeKind.COMPLETED, (Measurement("latency_ms", 3.0, "ms"),))


@pytest.fixture(scope="module")
def scene(module_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceScene]:
    with listening_scene(module_home, tmp_path_factory.mktemp("devices")) as found:
        yield found


@pytest.fixture
def work(scene: DeviceScene, request: pytest.FixtureRequest) -> Iterator[str]:
    """Two measurements that wait for a pi5; the study's name."""
    name = request.node.name[:40]
    two_measurements(scene, name)
    yield name
    PgStudies(scene.services.database_url("controller")).stop(name)


def states(scene: DeviceScene, study: str) -> list[tuple]:
    return scene.rows(
        "select e.state, e.spent from nasd_core.evaluation as e join nasd_core.study as s on s.id = e.study_id "
        "where s.name = %s order by e.id",
        study,
    )


def test_a_device_works_as_its_own_kind_alone(scene: DeviceScene):
    """Latencies of another machine under a kind's name would poison its front."""
    joined = scene.joined("honest")
    store = scene.store(joined)

    with pytest.raises(Unavailable, match="device honest was added as a pi5, not as a orin"):
        store.register(info("orin"))
    done = nasd("worker", "--device", joined.file, "--device-kind", "orin")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "was added as a pi5" in done.stderr
    assert store.register(info()) > 0


def test_a_device_hears_its_own_doorbell_alone(scene: DeviceScene):
    client = redis.Redis.from_url(str(scene.joined("deaf").redis_url))
    client.rpush("rq:queue:nasd:pi5", "x")
    client.lpop("rq:queue:nasd:any")

    for command in (
        ("LPOP", "rq:queue:nasd:orin"),
        ("GET", "rq:queue:nasd:pi5"),
        ("SET", "other", "1"),
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("SELECT", "1"),
        ("EVAL", "return 1", "0"),
        ("PUBLISH", "rq:pubsub:nasd", "shutdown"),
        ("ACL", "WHOAMI"),
        ("CONFIG", "GET", "*"),
        ("CLIENT", "LIST"),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
    client.delete("rq:queue:nasd:pi5")
    client.close()


def test_a_device_sees_no_table(scene: DeviceScene):
    joined = scene.joined("curious")
    with psycopg.connect(joined.database_url, autocommit=True) as connection:
        for statement in (
            "select * from nasd_core.login",
            "select * from nasd.studies",
            "select nasd_core.add_login('x', 'pi5', '', '', 1)",
            "select nasd_core.revoke_login('curious')",
            "create table public.x (i int)",
            "create role x",
            "set role nasd_controller",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_device_reaches_artifacts_until_it_is_revoked(scene: DeviceScene, tmp_path: Path):
    """With its own token, through the same port; whose hash the database has and nothing else."""
    joined = scene.joined("carrier")
    own = joined.settings(Settings(home=tmp_path))
    store = open_store(own.artifacts_url, tmp_path, own.artifacts_token, ca=own.artifacts_ca)
    file, fetched = tmp_path / "model.onnx", tmp_path / "fetched"
    file.write_bytes(b"x" * 3_000_000)
    with devices.devices(scene.settings) as (_, endpoints), served(scene.settings, endpoints):
        sha256, _ = store.put(file)
        store.get(sha256, fetched)
        assert fetched.read_bytes() == file.read_bytes()
        assert sha256 in {one.sha256 for one in archive_of(scene.settings, scene.home).stored()}
        devices.revoke(scene.settings, "carrier")
        with pytest.raises(ArtifactsAway, match="valid token"):
            store.get(sha256, fetched)


def test_a_drained_device_finishes_what_it_has_and_takes_nothing_more(scene: DeviceScene, work: str):
    joined = scene.joined("tired")
    store = scene.store(joined)
    worker = store.register(info())
    held = store.lease_next(worker)
    assert held is not None

    assert "finishes 1 evaluation" in nasd("device", "drain", "tired", NASD_HOME=scene.home).stdout
    assert store.lease_next(worker) is None
    assert scene.listed("tired")["state"] == "draining"
    store.finish(held, LATENCY)
    assert [state for state, _ in states(scene, work)] == ["completed", "queued"]

    nasd("device", "drain", "tired", "--undo", NASD_HOME=scene.home)
    assert store.lease_next(worker) is not None


def test_a_revoked_device_can_neither_read_nor_write_from_that_moment(scene: DeviceScene, work: str):
    """Open sessions included, in Postgres and in Redis; its work goes to others, what it measured before stays."""
    joined, other = scene.joined("stolen"), scene.store(scene.joined("loyal"))
    store = scene.store(joined)
    worker = store.register(info())
    done, held = store.lease_next(worker), store.lease_next(worker)
    assert done is not None
    assert held is not None
    store.finish(done, LATENCY)
    with (
        psycopg.connect(joined.database_url, autocommit=True) as session,
        contextlib.closing(redis.Redis.from_url(str(joined.redis_url))) as doorbell,
        contextlib.closing(redis.Redis.from_url(str(joined.redis_url))) as another,
    ):
        session.execute("select 1")
        doorbell.llen("rq:queue:nasd:pi5")

        told = nasd("device", "revoke", "stolen", NASD_HOME=scene.home)

        assert told.stdout == "stolen is revoked: it can neither read nor write any more; kept: 1 measurement\n"
        with pytest.raises(psycopg.OperationalError):
            session.execute("select nasd_api.beat_v1(%s, '{}')", [worker])
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            psycopg.connect(joined.database_url)
        for client in (doorbell, another):
            with pytest.raises(redis.exceptions.RedisError):
                client.rpush("rq:queue:nasd:pi5", "x")
    with pytest.raises((DatabaseAway, Unavailable)):
        store.finish(held, LATENCY)
    with pytest.raises(Unavailable, match="lets this login in no longer"):
        store.lease_next(worker)
    assert states(scene, work) == [("completed", 0), ("queued", 0)]
    assert other.lease_next(other.register(info(host="other"))) is not None
    held_by = "select count(*) from nasd_core.lease join nasd_core.worker as w on w.id = worker_id where w.login = %s"
    assert scene.rows(held_by, joined.credentials.role) == [(0,)]


def test_a_session_that_survived_would_find_every_door_shut(scene: DeviceScene, work: str):
    """Were ending a session ever to fail, the rights are gone all the same: looked at without ending it."""
    joined = scene.joined("stubborn")
    store = scene.store(joined)
    worker = store.register(info())
    held = store.lease_next(worker)
    assert held is not None
    with psycopg.connect(joined.database_url, autocommit=True) as session:
        scene.rows("select nasd_core.revoke_login('stubborn')")
        for call in (
            f"nasd_api.lease_v2({worker}, 30, 1)",
            f"nasd_api.renew_v1({held.evaluation_id}, '{held.token}', '{{}}')",
            f"nasd_api.finish_v1({held.evaluation_id}, '{held.token}', '{{}}', 0)",
            f"nasd_api.recipe_v1({worker}, 1)",
            f"nasd_api.beat_v1({worker}, '{{}}')",
            "nasd_api.join_v1('', '')",
            'nasd_api.register_v1(\'{"protocol": 3, "device_kind": "pi5"}\')',
        ):
            with pytest.raises(psycopg.DatabaseError, match="permission denied"):
                session.execute(f"select {call}")
    devices.revoke(scene.settings, "stubborn")  # again: what is missing is made good


def test_a_revoked_worker_leaves_and_says_why(scene: DeviceScene, wait_until):
    """It must not knock for ever, and a supervisor must see that starting it again is no use."""
    joined = scene.joined("leaving")
    with running("worker", "--device", joined.file) as worker:
        wait_until(lambda: scene.listed("leaving")["state"] == "live", limit_s=30)
        devices.revoke(scene.settings, "leaving")
        _, complaint = worker.communicate(timeout=30)
    assert worker.returncode == 2
    assert complaint.splitlines()[-1].startswith("error: the database lets this login in no longer: it was revoked")
    done = nasd("worker", "--device", joined.file)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_name_is_free_again_after_revocation(scene: DeviceScene, tmp_path: Path):
    """The board came back from repair; what it measured before stays under its old login."""
    first = scene.joined("phoenix")
    devices.revoke(scene.settings, "phoenix")

    second = join(scene.add("phoenix").token, scene.file("phoenix"))

    assert second.credentials.role != first.credentials.role
    scene.store(second).register(info())
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(first.database_url)
    shown = json.loads(nasd("device", "list", "--all", "--json", NASD_HOME=scene.home).stdout)["devices"]
    assert [row["state"] for row in shown if row["name"] == "phoenix"] == ["live", "revoked"]


def test_redis_knows_devices_and_forgets_revoked_ones_across_its_restarts(scene: DeviceScene, wait_until):
    kept, gone = scene.joined("kept"), scene.joined("gone")
    devices.revoke(scene.settings, "gone")
    pid = status(scene.home).valkey_pid
    os.kill(pid, signal.SIGKILL)

    def answers(url: str | None) -> bool:
        with contextlib.suppress(redis.RedisError), contextlib.closing(redis.Redis.from_url(str(url))) as client:
            return bool(client.ping())
        return False

    wait_until(lambda: answers(kept.redis_url))
    assert not answers(gone.redis_url)


def test_an_unknown_device_is_named_with_those_there_are(scene: DeviceScene):
    scene.add("known")
    for command in (("show",), ("drain",), ("revoke",)):
        done = nasd("device", *command, "nobody", NASD_HOME=scene.home)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "there is no device nobody in use; known: " in done.stderr
        assert "known" in done.stderr
