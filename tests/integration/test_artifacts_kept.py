"""Which artifacts the database needs, and what removing the others leaves: rows and files never disagree."""

import os
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from database import completed

from nasd.app.artifacts import make_room, room, tidy
from nasd.app.endpoints import Endpoints
from nasd.artifacts import open_archive
from nasd.config import Settings
from nasd.domain.artifact import WEIGHTS, ArtifactRef
from nasd.domain.measurement import Stage
from nasd.store import artifacts

LATER = datetime.now(UTC) + timedelta(hours=2)


class Shelf:
    """An archive, and a study whose trials have a weights file each."""

    def __init__(self, scene, home) -> None:
        self.scene, self.home, self.archive = scene, home, open_archive(None, home)
        self.study = scene.study()
        self.connection = psycopg.connect(scene.database.controller, autocommit=True)
        self.settings = Settings(home=home)

    def trial(self, number, content=None):
        """Trained, with weights."""
        self.scene.trial(self.study, number, stages=(Stage.TRAIN,))
        return self.keep(number, content or f"weights of {number}")

    def keep(self, number, content):
        path = self.home.parent / "made"
        path.write_text(content)
        ref = ArtifactRef(WEIGHTS, *self.archive.put(path))
        artifacts.keep(self.connection, "study", number, ref)
        return ref

    def finish_all(self):
        worker = self.scene.worker()
        while (lease := self.scene.leases.lease_next(worker)) is not None:
            self.scene.leases.finish(lease, completed())

    def files(self):
        return {one.sha256 for one in self.archive.stored()}

    def rows(self):
        return {row[0] for row in self.scene.database.rows("select sha256 from nasd_core.artifact")}

    def tidy(self, **more):
        return tidy(self.settings, self.home, self.connection, **({"now": LATER, "down_to_bytes": 0} | more))


@pytest.fixture
def shelf(scene, tmp_path):
    made = Shelf(scene, tmp_path / "home")
    yield made
    made.connection.close()


def test_weights_are_found_again_and_replaced_whole(shelf):
    shelf.trial(0)
    second = shelf.keep(0, "better weights")
    assert artifacts.weights_of(shelf.connection, "study", 0) == second
    assert artifacts.weights_of(shelf.connection, "study", 1) is None


def test_what_is_on_a_front_or_waited_for_stays_and_the_rest_goes_with_its_rows(shelf):
    """A leased file must never go, however full the disk is; a row without a file would fail who leases it."""
    done, on_front = shelf.trial(0), shelf.trial(1)
    shelf.finish_all()
    shelf.scene.database.rows(
        "insert into nasd_core.front_member (study_id, device_kind, trial_id, entered_seq) "
        "select study_id, 'local', id, 1 from nasd_core.trial where number = 1"
    )
    waiting = shelf.trial(2)

    assert artifacts.needed(shelf.connection) == {on_front.sha256, waiting.sha256}
    assert [one.sha256 for one in shelf.tidy()] == [done.sha256]
    assert shelf.files() == shelf.rows() == {on_front.sha256, waiting.sha256}
    seen = room(shelf.settings, shelf.home, shelf.connection)
    assert (seen.n, seen.n_needed) == (2, 2)


def test_a_file_that_two_trials_share_stays_while_one_needs_it(shelf):
    """Equal content is one file, whoever made it."""
    shared = shelf.trial(0, "same")
    shelf.finish_all()
    shelf.trial(1, "same")
    assert shelf.tidy() == ()
    assert shelf.files() == {shared.sha256}


def test_what_was_just_stored_stays_though_no_row_names_it_yet(shelf):
    """A worker puts the file first and reports then."""
    (shelf.home.parent / "fresh").write_text("just exported")
    sha256, _ = shelf.archive.put(shelf.home.parent / "fresh")
    assert shelf.tidy(now=datetime.now(UTC)) == ()
    assert shelf.files() == {sha256}
    assert [one.sha256 for one in shelf.tidy()] == [sha256]


def test_what_became_needed_meanwhile_is_not_forgotten(shelf):
    """Between looking and removing a trial may have entered a front."""
    ref = shelf.trial(0)
    assert artifacts.forget(shelf.connection, [ref.sha256]) == frozenset()
    assert shelf.rows() == {ref.sha256}


def test_room_is_made_where_the_archive_is_nearly_full(shelf):
    """By the controller, unasked; what a front needs stays."""
    megabyte = "x" * (1 << 20)
    shelf.trial(0, megabyte)
    shelf.trial(1, megabyte + "y")
    shelf.finish_all()
    long_ago = (LATER - timedelta(days=1)).timestamp()
    for path in (shelf.home / "artifacts").rglob("*"):
        if path.is_file():
            os.utime(path, (long_ago, long_ago))
    database = {"controller": shelf.scene.database.controller}
    endpoints = Endpoints(database=database, redis={}, home=shelf.home)

    assert make_room(Settings(home=shelf.home, artifacts_quota_mib=100), endpoints) == 0
    assert make_room(Settings(home=shelf.home, artifacts_quota_mib=2), endpoints) == 1
    assert len(shelf.files()) == 1
    assert shelf.rows() == shelf.files()
    elsewhere = Settings(home=shelf.home, artifacts_url="https://controller:7432/artifacts", artifacts_quota_mib=1)
    assert make_room(elsewhere, endpoints) == 0
