"""Late values at a study's end, over the real database: all are learned first, whoever drains or restarts."""

from __future__ import annotations

import pytest
from search_threads import SETTINGS, Search
from toy_study import DATA, toy_spec

from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import Stage
from nasd.ports.trials import StudyState, Wanted
from nasd.studyfile import with_kind

PI5 = DeviceKind("pi5")


@pytest.fixture
def search(database):
    search = Search(database)
    yield search
    search.end()


def test_a_study_ends_after_the_last_of_its_revisions_however_many_wait(search, wait_until):
    """A board measured everything while no controller was there; one batch of it is not all of it."""
    search.studies.create(toy_spec(trials=12), DATA)
    first = search.controller("first")
    search.worker("all", LOCAL)
    wait_until(lambda: search.studies.find("toy").state is StudyState.COMPLETED, limit_s=20)
    spec = search.studies.find("toy").spec
    search.studies.measure("toy", with_kind(spec, PI5, None), PI5, Wanted.ALL)
    queued = "select count(*) from nasd_core.evaluation where device_kind = 'pi5'"
    wait_until(lambda: search.database.rows(queued) == [(12,)], limit_s=10)
    first.set()
    search.threads[0][0].join(timeout=5)
    search.worker("board", PI5, Stage.MEASURE)
    pending = "select count(*) from nasd_core.trial where pending is not null"
    wait_until(lambda: search.database.rows(pending) == [(12,)], limit_s=10)

    search.controller("second", SETTINGS.model_copy(update={"batch": 4}))
    wait_until(lambda: search.studies.find("toy").state is StudyState.COMPLETED, limit_s=10)

    assert search.database.rows(pending) == [(0,)]
