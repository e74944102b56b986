"""`nasd device` from outside: its list, and what adding refuses, each with one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from device_scene import DeviceScene, listening_scene, nasd, two_measurements

from nasd.errors import UserError
from workers.joining import load


@pytest.fixture(scope="module")
def scene(module_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceScene]:
    with listening_scene(module_home, tmp_path_factory.mktemp("devices")) as found:
        yield found


def test_each_state_says_why_and_what_to_do(scene: DeviceScene):
    scene.add("expected")
    scene.joined("silent")

    assert scene.listed("expected")["why"].startswith("its token is good until 2")
    assert (scene.listed("silent")["state"], scene.listed("silent")["why"]) == (
        "joined",
        "no worker came yet: start `nasd worker` there",
    )
    shown = nasd("device", "show", "silent", NASD_HOME=scene.home).stdout
    assert shown.splitlines()[0].split() == ["device", "silent,", "a", "pi5"]
    table = nasd("device", "list", NASD_HOME=scene.home).stdout
    assert table.splitlines()[0].split() == ["DEVICE", "KIND", "STATE", "SEEN", "MACHINE", "WHY"]
    for output in (shown, table):
        assert load(scene.file("silent")).credentials.database_password not in output


def test_adding_is_refused_where_no_other_machine_reaches_the_services(home: Path):
    """And says how to get an address."""
    nasd("services", "up", NASD_HOME=home)

    done = nasd("device", "add", "kitchen", "--kind", "pi5", NASD_HOME=home)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "nasd services up --listen ADDRESS" in done.stderr


def test_adding_before_anything_was_started_says_where_to_begin(tmp_path: Path):
    """A newcomer's first command may be this one."""
    done = nasd("device", "add", "kitchen", "--kind", "pi5", NASD_HOME=tmp_path / "none")

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "nasd services up --listen ADDRESS" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_kind_that_no_study_measures_on_is_doubted(scene: DeviceScene):
    """It may be a slip of the pen; where no study is yet, nobody can know."""
    before = scene.add(kind="pi6").notes
    two_measurements(scene, "kitchen")

    assert scene.add(kind="pi5").notes == before
    assert scene.add(kind="pi6").notes == (*before, "no study measures on pi6 yet; the kinds of those here: pi5")


@pytest.mark.parametrize(
    ("database", "queue", "complaint"),
    [
        ("postgresql://u@db.example.org/n", "redis://q.example.org", "NASD_REDIS_URL is not encrypted"),
        (
            "postgresql://u@localhost/n",
            "rediss://q.example.org",
            "NASD_DATABASE_URL names a server of this machine alone",
        ),
        (
            "postgresql:///n?host=/run",
            "rediss://q.example.org",
            "NASD_DATABASE_URL names a server of this machine alone",
        ),
        (
            "postgresql://u@db.example.org/n",
            "rediss://127.0.0.1",
            "NASD_REDIS_URL names a server of this machine alone",
        ),
    ],
)
def test_given_services_must_be_reachable_and_encrypted(database: str, queue: str, complaint: str):
    from nasd.app.endpoints import Endpoints
    from nasd.app.reach import reach
    from nasd.config import Settings

    settings = Settings(database_url=database, redis_url=queue)
    with pytest.raises(UserError, match=complaint):
        reach(settings, Endpoints(database={}, redis={}, home=Path()), None)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("Kitchen", "--kind", "pi5"), "device Kitchen: a name is"),
        (("kitchen", "--kind", "any"), "--kind any: a kind is"),
        (("kitchen", "--kind", "pi*"), "--kind pi*: a kind is"),
        (("kitchen", "--kind", "pi5", "--valid", "soon"), "--valid soon: must be a duration"),
        (("kitchen", "--kind", "pi5", "--valid", "90d"), "--valid: a token is good for 30 days at most"),
    ],
)
def test_a_mistake_in_adding_is_one_sentence(scene: DeviceScene, arguments: tuple[str, ...], complaint: str):
    done = nasd("device", "add", *arguments, NASD_HOME=scene.home)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {complaint}")
