"""Several device kinds over the real database: a board that comes late, one that never does, one that joins later."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from search_threads import Search
from toy_study import DATA, toy_parts, toy_spec

from nasd.controller.mind import StudyMind
from nasd.controller.replay import replay
from nasd.domain.devices import OnMissing
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.pareto import non_dominated
from nasd.ports.trials import StudyState, Wanted
from nasd.store.trials import PgTrialStore
from nasd.strategies.by_kind import SERVES
from nasd.studyfile import with_kind

PI5 = DeviceKind("pi5")
A, B = DeviceKind("a"), DeviceKind("b")


@pytest.fixture
def search(database):
    search = Search(database)
    yield search
    search.end()


def state(search: Search) -> StudyState:
    return search.studies.find("toy").state


def n_facts(search: Search) -> int:
    return search.database.rows("select count(*) from nasd_core.fact")[0][0]


def front_of(search: Search, kind: str) -> list[int]:
    return [
        n for (n,) in search.database.rows(f"select trial from pareto_front where device_kind = '{kind}' order by 1")
    ]


def brute_force(search: Search, kind: str) -> list[int]:
    """From the raw measurements alone: the least latency of `kind`, error and parameters."""
    rows = search.database.rows(
        "select t.number, min(e.value), min(l.value), (t.values #>> '{params,value}')::float8 "
        "from nasd_core.trial as t "
        "join nasd_core.measurement as e on e.trial_id = t.id and e.name = 'val_error' "
        "join nasd_core.measurement as l on l.trial_id = t.id and l.name = 'latency_ms' and l.device_kind = %s "
        "where t.state = 'completed' group by t.id order by t.number",
        kind,
    )
    mask = non_dominated(np.array([row[1:] for row in rows], dtype=float))
    return [row[0] for row, keep in zip(rows, mask, strict=True) if keep]


def replays(search: Search) -> bool:
    study, store = search.studies.find("toy"), PgTrialStore(search.database.controller, purpose="test")
    trials, facts = store.history(study.id)
    store.close()
    return replay(StudyMind(toy_parts(study)), trials, facts) == []


def test_a_board_that_comes_after_thirty_trials_gets_its_front_and_holds_nobody_up(search, wait_until):
    """Kind A is fast and B is away: A's front grows as if B were not there, and B's is filled in when it comes."""
    search.studies.create(toy_spec(trials=70, in_flight=None, kinds=(A, B), patience_s=0.3), DATA)
    search.controller()
    search.worker("trainer", A)
    wait_until(lambda: n_facts(search) >= 30, limit_s=30)
    assert front_of(search, B) == []
    assert len(front_of(search, A)) > 0
    search.worker("board", B, Stage.MEASURE)

    wait_until(lambda: state(search) is StudyState.COMPLETED, limit_s=30)

    for kind in (A, B):
        assert front_of(search, kind) == brute_force(search, kind)
    assert front_of(search, A) != front_of(search, B)
    served = [
        row[0] for row in search.database.rows(f"select notes ->> '{SERVES}' from nasd_core.trial order by number")
    ]
    assert served[:3] == [None] * 3
    assert set(Counter(served[3:]).values()) <= {33, 34}
    assert replays(search)
    missing = search.database.rows("select count(*) from nasd_core.trial where not values ? 'latency_ms@b'")
    assert missing == [(0,)]


def test_a_slow_board_is_given_the_likely_front_members_first(search, wait_until):
    """Its queue grows behind it: what it measures of the queue is what most likely enters its front."""
    search.studies.create(toy_spec(trials=60, in_flight=None, kinds=(A, B), patience_s=0.2), DATA)
    search.controller()
    search.worker("board", B, Stage.MEASURE, pause_s=0.3)
    search.worker("trainer", A)
    completed = "select count(*) from nasd_core.trial where state = 'completed'"
    wait_until(lambda: search.database.rows(completed) == [(60,)], limit_s=30)
    priorities = "select distinct priority from nasd_core.evaluation where device_kind = 'b' and state = 'queued'"
    wait_until(lambda: len(search.database.rows(priorities)) > 5, limit_s=10)

    assert state(search) is StudyState.RUNNING
    ((first, last),) = search.database.rows(
        "select avg(error) filter (where place <= n / 3), avg(error) filter (where place > 2 * n / 3) from ("
        "select (t.values #>> '{val_error,value}')::float8 * (t.values #>> '{params,value}')::float8 ^ 0.25 as error, "
        "row_number() over (order by e.priority desc, e.id) as place, count(*) over () as n "
        "from nasd_core.evaluation as e join nasd_core.trial as t on t.id = e.trial_id "
        "where e.device_kind = 'b' and e.state = 'queued') as q"
    )
    assert first < last
    search.worker("more", B, Stage.MEASURE)
    wait_until(lambda: state(search) is StudyState.COMPLETED, limit_s=30)
    assert front_of(search, B) == brute_force(search, B)


def test_a_study_finishes_without_a_board_that_never_comes_and_says_so(search, wait_until):
    """Its owner asked for that: finish_partial. What was never measured is not on any front."""
    spec = toy_spec(trials=12, kinds=(A, B), patience_s=0.3, on_missing_device=OnMissing.FINISH_PARTIAL)
    search.studies.create(spec, DATA)
    search.controller()
    search.worker("trainer", A)

    wait_until(lambda: state(search) is StudyState.COMPLETED, limit_s=20)

    ((reason,),) = search.database.rows("select state_reason from nasd_core.study")
    assert reason == "its budget of 12 trials is used; 12 measurements on b given up: no worker came"
    assert search.database.rows("select distinct state from nasd_core.evaluation where device_kind = 'b'") == [
        ("cancelled",)
    ]
    assert search.database.rows("select distinct state from nasd_core.trial") == [("completed",)]
    assert front_of(search, A) == brute_force(search, A)
    assert front_of(search, B) == []


def test_a_study_that_waits_for_its_board_says_for_whom_and_ends_when_it_came(search, wait_until):
    """The default: the results are there, the study is stalled, and nothing is lost when the board is back."""
    search.studies.create(toy_spec(trials=8, kinds=(A, B), patience_s=0.2), DATA)
    search.controller()
    search.worker("trainer", A)
    wait_until(lambda: n_facts(search) >= 8, limit_s=20)
    wait_until(lambda: search.database.rows("select count(*) from nasd.trials where state = 'completed'") == [(8,)])

    assert state(search) is StudyState.RUNNING
    assert search.database.rows("select stall from nasd.studies") == [
        ("stalled: 8 evaluations wait for b, never seen; let one join: nasd device add NAME --kind b",)
    ]
    search.worker("board", B, Stage.MEASURE)
    wait_until(lambda: state(search) is StudyState.COMPLETED, limit_s=20)
    assert front_of(search, B) == brute_force(search, B)


@pytest.mark.parametrize("which", Wanted)
def test_a_finished_study_is_measured_on_a_board_that_joined(search, wait_until, which):
    """`nasd measure`: a front for the new board, everything else as it was, and old proposals still made again."""
    search.studies.create(toy_spec(trials=25), DATA)
    search.controller()
    search.worker("all", LOCAL)
    wait_until(lambda: state(search) is StudyState.COMPLETED, limit_s=20)
    before = front_of(search, LOCAL), search.database.rows("select id, values from nasd_core.trial order by id")
    study = search.studies.find("toy")

    search.studies.measure("toy", with_kind(study.spec, PI5, None), PI5, which)
    search.worker("board", PI5, Stage.MEASURE)
    wait_until(lambda: state(search) is StudyState.COMPLETED, limit_s=20)

    found = search.studies.find("toy")
    assert (found.joined, found.wanted) == ({LOCAL: 0, PI5: 25}, {})
    assert front_of(search, LOCAL) == before[0]
    measured = [
        n
        for (n,) in search.database.rows(
            "select number from nasd_core.trial where values ? 'latency_ms@pi5' order by 1"
        )
    ]
    assert measured == (before[0] if which is Wanted.FRONT else list(range(25)))
    assert front_of(search, PI5) == brute_force(search, PI5)
    kept = search.database.rows("select id, values - 'latency_ms@pi5' from nasd_core.trial order by id")
    assert kept == before[1]
    assert replays(search)


def test_a_raised_budget_serves_a_kind_that_joined(search, wait_until):
    """The search goes on for both, from one history."""
    spec = toy_spec(trials=15)
    id_ = search.studies.create(spec, DATA)
    search.controller()
    search.worker("all", LOCAL)
    wait_until(lambda: state(search) is StudyState.COMPLETED, limit_s=20)
    search.worker("board", PI5, Stage.MEASURE)
    grown = with_kind(replace(spec, budget=replace(spec.budget, trials=27)), PI5, None)
    search.studies.go_on(id_, grown, why="more")
    wait_until(lambda: state(search) is StudyState.COMPLETED, limit_s=20)

    served = Counter(row[0] for row in search.database.rows(f"select notes ->> '{SERVES}' from nasd_core.trial"))
    assert served == {None: 15, LOCAL: 6, PI5: 6}
    assert search.database.rows("select count(*) from nasd_core.trial where values ? 'latency_ms@pi5'") == [(27,)]
    assert front_of(search, PI5) == brute_force(search, PI5)
    assert replays(search)
