"""Random lives of a study: results, losses, revisions and crashes in any order leave the laws standing."""

from __future__ import annotations

import pytest
from fakes_trials import FakeLeadership
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from study_life import Life, figures
from toy_study import BASELINES

from nasd.controller.mind import REFUNDED
from nasd.domain.lifecycle import State
from nasd.errors import Deposed
from nasd.ports.trials import StudyState

ACTIONS = st.lists(
    st.sampled_from(
        ["tick", "tick", "finish", "finish", "finish", "late", "lose", "fault", "prune", "revise", "crash"]
    ),
    max_size=120,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    actions=ACTIONS,
    in_flight=st.integers(1, 6),
    trials=st.integers(1, 24),
    rounds=st.integers(1, 3),
    use=st.sampled_from(["random", "nsga2"]),
    max_params=st.sampled_from([None, 4000.0]),
    baselines=st.booleans(),
)
def test_any_life_of_a_study_keeps_budget_order_fronts_and_replay(actions, **spec):
    """What a crash, a loss or a straggler may never change."""
    life = Life(**spec)
    for nth, action in enumerate(actions):
        life.do(action, nth)
    life.check_laws()
    life.play_out()
    life.check_laws()
    ended = [trial for trial in life.row.trials if trial.state not in REFUNDED]
    assert len(ended) == spec["trials"]
    assert life.row.study.state is StudyState.COMPLETED


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(actions=ACTIONS, rounds=st.integers(1, 3), trials=st.integers(1, 20))
def test_a_rebuilt_mind_is_the_one_that_crashed(actions, rounds, trials):
    """A restart must not be visible in anything that the controller knows."""
    life = Life(rounds=rounds, trials=trials)
    for nth, action in enumerate(actions):
        if action != "crash":
            life.do(action, nth)
    life.tick()
    if life.row.study.state is StudyState.RUNNING:
        assert figures(life.mind) == figures(life.rebuilt())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(crashes=st.lists(st.integers(0, 60), max_size=6), seed=st.integers(0, 3))
def test_a_study_of_one_worker_killed_anywhere_has_the_rows_of_an_undisturbed_one(crashes, seed):
    """With no look-ahead there is one order of results, so the whole search must be reproduced."""
    rows = []
    for kills in ((), crashes):
        life = Life(in_flight=1, trials=18, seed=seed)
        for nth in range(4000):
            if life.row.study.state is not StudyState.RUNNING:
                break
            if nth in kills:
                life.crash()
            life.tick()
            life.finish()
        rows.append(([trial.new for trial in life.row.trials], life.row.facts, life.row.fronts, life.row.study))
    assert rows[0] == rows[1]


def test_a_step_of_the_deposed_is_refused():
    """Two controllers that both plan would record two different searches."""
    life = Life()
    life.tick()
    FakeLeadership(life.world).take("other", depose=life.epoch)
    for _ in range(6):
        life.finish()
    with pytest.raises(Deposed):
        life.tick()


def test_a_lost_trial_is_refunded_and_replaced():
    """A worker that dies must not shorten the search."""
    life = Life(trials=5, in_flight=1)
    life.tick()
    life.lose()
    life.lose()
    life.play_out()
    assert [trial.state for trial in life.row.trials].count(State.FAILED) == 1
    assert len(life.row.trials) == 6
    assert [trial.new.proposal.notes.get("name") for trial in life.row.trials[:3]] == [name for name, _ in BASELINES]
