"""Budget, in-flight target, expiry and stall: the controller's small decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes_trials import live_worker
from hypothesis import given
from hypothesis import strategies as st
from toy_study import toy_spec

from nasd.controller.able import proposing_for, serving
from nasd.controller.admission import FAST_S, MAX_AHEAD, MAX_IDLE, admission_end, stage_kinds, target_in_flight
from nasd.controller.objectives import total_violation
from nasd.controller.standing import Standing, afresh, expired, live
from nasd.domain.ids import ANYWHERE
from nasd.domain.measurement import Stage
from nasd.domain.study import BudgetSpec, LimitSpec, ObjectiveSpec
from nasd.ports.trials import OpenLease


def lease(renewals: int = 0, *, token: str = "a", duration_s: float = 10.0) -> OpenLease:
    return OpenLease(evaluation_id=1, token=token, renewals=renewals, duration_s=duration_s)


@pytest.mark.parametrize(
    ("budget", "charged", "used_s", "exhausted", "end"),
    [
        (BudgetSpec(trials=5), 4, 1e9, False, None),
        (BudgetSpec(trials=5), 5, 0.0, False, "its budget of 5 trials is used"),
        (BudgetSpec(time_s=60), 10**6, 59.9, False, None),
        (BudgetSpec(time_s=60), 0, 60.0, False, "its time budget of 60 s is used"),
        (BudgetSpec(trials=5, time_s=60), 1, 60.0, False, "its time budget of 60 s is used"),
        (BudgetSpec(trials=5), 1, 0.0, True, "the space has no further architecture"),
    ],
)
def test_admission_ends_with_whichever_comes_first(budget, charged, used_s, exhausted, end):
    """A budget that overshoots costs the user money."""
    assert admission_end(budget, n_charged=charged, used_s=used_s, exhausted=exhausted) == end


def test_a_given_in_flight_number_is_kept_to_exactly():
    """Reproducible searches rest on it."""
    assert target_in_flight(1, n_workers=8, evaluation_s=0.001) == 1


@given(n_workers=st.integers(0, 64), evaluation_s=st.none() | st.floats(0, 1e4))
def test_no_worker_waits_for_a_proposal_and_none_is_too_far_ahead(n_workers, evaluation_s):
    """Idle workers waste money; proposals far ahead ignore what is being learned."""
    target = target_in_flight(None, n_workers=n_workers, evaluation_s=evaluation_s)
    busy = max(1, n_workers)
    assert target > n_workers
    if evaluation_s is None or evaluation_s >= FAST_S:
        assert target <= busy + (busy + 1) // 2
    else:
        assert target <= busy * (1 + MAX_AHEAD)


def test_very_fast_evaluations_get_the_deepest_look_ahead():
    """A worker that evaluates in a millisecond would wait most of its time otherwise."""
    assert target_in_flight(None, n_workers=2, evaluation_s=0.001) == 2 * (1 + MAX_AHEAD)


def test_only_workers_that_can_do_the_study_count():
    """A look-ahead for a board that serves another study would only make proposals stale."""
    spec = toy_spec(name="kitchen")
    able = live_worker("a", studies=("kitchen",))
    others = [
        live_worker("b", studies=("garden",)),
        live_worker("c", kind="pi5", stages=(Stage.MEASURE,)),
        replace(live_worker("e", stages=(Stage.MEASURE,)), offers=("onnxruntime",)),
        live_worker("d", stages=(Stage.RUN,)),
    ]
    assert serving(spec, [able, *others]) == (able,)


def test_trials_that_a_device_alone_keeps_do_not_hold_up_the_others():
    """A slow board would fill the whole in-flight target with trials that nobody can help."""
    busy = target_in_flight(None, n_workers=4, evaluation_s=2.0)
    assert target_in_flight(None, n_workers=4, evaluation_s=2.0, n_idle=5) == busy + 5
    assert target_in_flight(None, n_workers=4, evaluation_s=2.0, n_idle=10**6) == busy + MAX_IDLE
    assert target_in_flight(3, n_workers=4, evaluation_s=2.0, n_idle=5) == 3


def test_a_board_that_only_measures_is_no_reason_to_propose_ahead():
    """Five boards beside one trainer would make proposals that nobody can train for a while."""
    spec = replace(toy_spec(), objectives={"val_error": ObjectiveSpec(), "latency_ms": ObjectiveSpec(on=("pi5",))})
    trainer, board = live_worker("a"), live_worker("b", kind="pi5", stages=(Stage.MEASURE,))
    assert serving(spec, [trainer, board]) == (trainer, board)
    assert proposing_for(spec, [trainer, board]) == (trainer,)


def test_a_trial_is_measured_on_each_kind_and_trained_once_cheap_first():
    """A board that finds a limit broken saves a training."""
    objectives = {"val_error": ObjectiveSpec(), "latency_ms": ObjectiveSpec(on=("pi5", "orin"))}
    spec = replace(toy_spec(), objectives=objectives)
    assert stage_kinds(spec) == ((Stage.MEASURE, "pi5"), (Stage.MEASURE, "orin"), (Stage.TRAIN, ANYWHERE))


def test_limits_on_counts_are_judged_before_anything_is_queued_and_others_when_known():
    """What breaks a hard limit is never trained."""
    spec = replace(
        toy_spec(max_params=100.0), limits=(LimitSpec(of="params", max=100), LimitSpec(of="latency_ms", max=2))
    )
    assert total_violation(spec, {"params": 150, "flops": 1}) == 0.5
    assert total_violation(spec, {"params": 90}) == 0.0
    assert total_violation(spec, {"params": 150, "latency_ms": 4.0}) == 1.5


def test_a_lease_expires_when_its_renewals_stand_still_for_its_duration():
    """Judged by standing still: no clock of another machine is read."""
    over, seen = expired(100.0, Standing(), [lease()])
    assert over.spend == ()
    over, seen = expired(109.9, seen, [lease()])
    assert over.spend == ()
    over, seen = expired(110.0, seen, [lease()])
    assert over.spend == (lease(),)


def test_a_renewal_or_a_new_token_starts_afresh():
    """A slow worker that still renews keeps its work."""
    _, seen = expired(0.0, Standing(), [lease()])
    over, seen = expired(20.0, seen, [lease(1)])
    assert over.spend == ()
    over, seen = expired(29.0, seen, [lease(1, token="b")])
    assert over.spend == ()
    over, seen = expired(38.0, seen, [lease(1, token="b")])
    assert over.spend == ()


def test_an_outage_of_the_database_expires_nothing_at_once_and_spends_no_attempt():
    """Workers could not renew while it was away; that is not their fault."""
    _, seen = expired(0.0, Standing(), [lease()])
    over, seen = expired(1000.0, afresh(seen), [lease()])
    assert (over.spend, over.spare) == ((), ())
    over, seen = expired(1010.0, seen, [lease()])
    assert (over.spend, over.spare) == ((), (lease(),))


def test_a_lease_that_was_renewed_after_the_outage_spends_its_attempt_later():
    """Only the outage is forgiven, not what comes after it."""
    _, seen = expired(0.0, afresh(Standing()), [lease()])
    _, seen = expired(5.0, seen, [lease(1)])
    over, seen = expired(15.0, seen, [lease(1)])
    assert over.spend == (lease(1),)


def test_a_worker_whose_beats_stand_still_is_not_live():
    """The in-flight target must not count the dead."""
    worker = live_worker("a")
    alive, seen = live(0.0, Standing(), [worker], within_s=10)
    assert alive == (worker,)
    alive, seen = live(10.0, seen, [worker], within_s=10)
    assert alive == ()
    alive, seen = live(11.0, seen, [replace(worker, beats=1)], within_s=10)
    assert len(alive) == 1
