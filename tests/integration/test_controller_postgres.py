"""The controller's loops over the real database: a whole study, its rows, its restart."""

from __future__ import annotations

from functools import partial

import pytest
from search_threads import Search
from toy_study import DATA, toy_parts, toy_spec

from nasd.controller.mind import StudyMind, rebuild
from nasd.controller.replay import replay
from nasd.domain.ids import LOCAL
from nasd.ports.trials import StudyState
from nasd.store.trials import PgTrialStore


@pytest.fixture
def search(database):
    search = Search(database)
    yield search
    search.end()


def test_a_whole_study_over_the_database_replays_and_has_the_rebuilt_front(search, database, wait_until):
    """The rows are the only truth: from them alone come the same proposals and the same front."""
    id_ = search.studies.create(toy_spec(trials=120, in_flight=None), DATA)
    search.controller()
    search.worker("a")
    search.worker("b")

    wait_until(lambda: search.studies.find("toy").state is StudyState.COMPLETED, limit_s=20)

    study = search.studies.find("toy")
    store = PgTrialStore(database.controller, purpose="test")
    trials, facts = store.history(id_)
    store.close()
    assert len(trials) == 120
    assert replay(StudyMind(toy_parts(study)), trials, facts) == []
    mind = rebuild(toy_parts(study), trials, facts, reference=study.reference)
    stored = database.rows("select trial from nasd.pareto_front where study = 'toy' order by trial")
    assert tuple(number for (number,) in stored) == mind.fronts[LOCAL].members


def test_a_second_controller_goes_on_where_the_first_left(search, wait_until):
    """Restarting the daemon is not an event in the life of a study."""
    search.studies.create(toy_spec(trials=150), DATA)
    first = search.controller("first")
    search.worker("a")
    facts = partial(search.database.rows, "select count(*) from nasd_core.fact")
    wait_until(lambda: facts()[0][0] > 20)
    first.set()

    search.controller("second")

    wait_until(lambda: search.studies.find("toy").state is StudyState.COMPLETED, limit_s=20)
    assert facts() == [(150,)]


def test_counts_over_a_limit_are_learned_without_a_worker(search, wait_until):
    """What breaks an exact limit is never queued, and does not hold up the search."""
    search.studies.create(toy_spec(trials=30, in_flight=2, max_params=3000.0, baselines=False), DATA)
    search.controller()
    search.worker("a")

    wait_until(lambda: search.studies.find("toy").state is StudyState.COMPLETED, limit_s=20)

    rows = search.database.rows(
        "select count(*) filter (where state = 'infeasible' and violation > 0), "
        "count(*) filter (where state = 'completed' and violation = 0) from nasd.trials where study = 'toy'"
    )
    assert sum(rows[0]) == 30
    assert min(rows[0]) > 0
