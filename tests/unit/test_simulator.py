"""The simulator's engine: the controller's planner on a virtual clock, over the toy space."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from toy_study import SPACE, toy_parts, toy_spec, toy_study, toy_values

from nasd.controller.advance import advance
from nasd.controller.mind import StudyMind
from nasd.domain.history import Wait
from nasd.domain.ids import TrialId
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.ports.trials import Finished
from nasd.simulator import Fleet, Outcome, simulate

UNEQUAL = (1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 8.0)


class Toy:
    """Arithmetic in place of training; a second each, or what `seconds` says."""

    def __init__(self, seconds=lambda values: 1.0):
        self.seconds = seconds

    def evaluate(self, architecture, rng):
        values = {**toy_values(architecture, Stage.MEASURE), **toy_values(architecture, Stage.TRAIN)}
        return Outcome(values, self.seconds(values))


class StillClock:
    """Every reading is `step_s` later than the last."""

    def __init__(self, step_s):
        self.step_s, self.time_s = step_s, 0.0

    def monotonic(self):
        self.time_s += self.step_s
        return self.time_s


def run(fleet, *, evaluator=None, ask_s=0.001, clock=None, **spec):
    parts = toy_parts(toy_study(toy_spec(**{"in_flight": None, "trials": 40, **spec})))
    return simulate(parts, evaluator or Toy(), fleet, ask_s=ask_s, clock=clock)


def test_the_same_seed_gives_the_same_run_bit_for_bit():
    """Everything random is keyed; with a fixed ask time nothing else is left."""
    fleet = Fleet(UNEQUAL, failure_rate=0.1, lost_rate=0.1)

    assert run(fleet).trials == run(fleet).trials


def test_another_seed_gives_another_run():
    assert run(Fleet(UNEQUAL), seed=0).trials != run(Fleet(UNEQUAL), seed=1).trials


def test_a_fast_worker_does_as_much_more_as_its_speed_says():
    """A duration is divided by the speed of the worker."""
    done = Counter(row.worker for row in run(Fleet((1.0, 4.0), jitter=0.0), trials=100).trials)

    assert 3.5 < done[1] / done[0] < 4.5


def test_without_jitter_an_evaluation_takes_exactly_its_duration_over_the_speed():
    rows = run(Fleet((2.0,), jitter=0.0), evaluator=Toy(lambda _: 3.0), trials=6).trials

    assert [pytest.approx(row.finished_at_s - row.started_at_s) for row in rows] == [1.5] * 6


def test_no_worker_waits_for_a_proposal_on_an_unequal_fleet():
    """The look-ahead keeps every worker busy; the drain at the end is not counted."""
    assert run(Fleet(UNEQUAL), trials=200).utilisation >= 0.99


def test_one_trial_in_flight_leaves_other_workers_idle():
    """The figure can fall: two equal workers with one trial between them are busy half of the time."""
    found = run(Fleet((1.0, 1.0), jitter=0.0), in_flight=1, ask_s=0.0, trials=50)

    assert found.utilisation == pytest.approx(0.5, abs=0.02)


def test_look_ahead_counts_as_in_flight():
    """A proposal is made from no more than what was learned by then: the controller's own target, not the workers'."""
    found = run(Fleet((1.0,) * 4, jitter=0.0), evaluator=Toy(lambda _: 100.0), ask_s=0.0)
    at_first = [row for row in found.trials if row.proposed_at_s == 0.0]

    assert len(at_first) == 4 + 2  # one a pair of workers beyond those that are busy


def test_a_slow_planner_delays_its_proposals():
    """A call that begins at t takes the seconds of its proposals, which exist at its end."""
    found = run(Fleet((1.0,), jitter=0.0), ask_s=0.5, in_flight=1, baselines=False, trials=3)

    assert [row.proposed_at_s for row in found.trials] == [0.5, 2.0, 3.5]


def test_real_time_is_charged_to_the_virtual_clock():
    """Without a given ask time, what the planner's call took on the real clock passes on the virtual one."""
    found = run(Fleet((1.0,), jitter=0.0), ask_s=None, clock=StillClock(0.25), in_flight=1, baselines=False, trials=2)

    assert found.trials[0].proposed_at_s == pytest.approx(0.75)  # begin, two readings around the ask, end
    assert found.ask_s == (0.25, 0.25)


def test_baselines_are_handed_out_first():
    found = run(Fleet((1.0,), jitter=0.0), trials=10)

    assert [row.operator for row in sorted(found.trials, key=lambda row: row.started_at_s)[:3]] == ["baseline"] * 3


def test_failed_trials_are_refunded_and_infeasible_ones_charged():
    charged = run(Fleet(UNEQUAL, failure_rate=0.2), trials=60)
    refunded = run(Fleet(UNEQUAL, failure_rate=0.2, failure_state=State.FAILED), trials=60)

    assert len(charged.trials) == 60
    assert Counter(row.state for row in refunded.trials)[State.COMPLETED] == 60
    assert {State.COMPLETED, State.INFEASIBLE} == {row.state for row in charged.trials}


def test_a_lost_trial_is_given_to_another_worker():
    """Its worker stands still, the lease is taken back, and somebody else begins anew."""
    found = run(Fleet((1.0,) * 4, lost_rate=0.2, late_share=0.0), trials=60)

    assert [row.state for row in found.trials if row.state is not State.FAILED] == [State.COMPLETED] * 60
    assert max(row.finished_at_s - row.proposed_at_s for row in found.trials) > 2


def test_attempts_that_are_spent_fail_the_trial():
    """Workers that never report: every trial fails after its attempts, and the controller gives the study up."""
    found = run(Fleet((1.0,) * 4, lost_rate=1.0, late_share=0.0, max_attempts=2), trials=5)

    assert {State.FAILED} == {row.state for row in found.trials}
    assert "failed" in found.ended


def test_a_late_result_is_taken_while_nobody_else_has_the_trial():
    """One worker alone: it sleeps through its lease, and what it then reports is paid for."""
    found = run(Fleet((1.0,), lost_rate=1.0, late_share=1.0), trials=5)

    assert [row.state for row in found.trials] == [State.COMPLETED] * 5


def test_a_late_result_of_an_older_attempt_is_dropped():
    """With others about, the trial was leased again before: the newer attempt's result counts, once."""
    found = run(Fleet((1.0,) * 6, lost_rate=0.5, late_share=1.0), trials=60, in_flight=6)

    assert len(found.trials) == len({row.number for row in found.trials})
    assert sorted(row.learned_seq for row in found.trials) == list(range(1, len(found.trials) + 1))


def test_what_breaks_a_limit_when_counted_sees_no_worker():
    found = run(Fleet(UNEQUAL), max_params=5_000, trials=40)
    refused = [row for row in found.trials if row.worker is None]

    assert refused
    assert {State.INFEASIBLE} == {row.state for row in refused}


def test_a_time_budget_ends_the_study_on_the_virtual_clock():
    found = run(Fleet((1.0,) * 2, jitter=0.0), trials=None, time_s=30.0)

    assert 30.0 <= found.wall_s <= 33.0
    assert "time budget" in found.ended


def test_the_frozen_boxes_are_told():
    assert run(Fleet(UNEQUAL)).boxes["local"].names == ("val_error", "latency_ms", "params")


def test_a_strategy_that_waits_for_nothing_is_a_defect():
    """It would hang a real study for ever."""

    class Waiting:
        name, version = "waiting", "1"

        def propose(self, history, trial_number, rng):
            return Wait("for better times")

    parts = replace(toy_parts(toy_study(toy_spec(baselines=False))), strategy=Waiting())

    with pytest.raises(RuntimeError, match="waiting waits"):
        simulate(parts, Toy(), Fleet((1.0,)), ask_s=0.0)


def test_the_proposals_are_those_of_the_controller():
    """Fed in the learned order, the controller's own step proposes the same trials."""
    found = run(Fleet((1.0,), jitter=0.0), in_flight=1, trials=15)
    mind = StudyMind(toy_parts(toy_study(toy_spec(in_flight=1, trials=15))))
    proposed = list(advance(mind, (), target=1).trials)
    for row in found.learned():
        fact = Finished(TrialId(row.number), row.number, "result", row.state, row.values, 0.0)
        proposed += advance(mind, (fact,), target=1).trials

    assert [row.architecture for row in found.trials] == [trial.proposal.architecture for trial in proposed]


def test_the_evaluator_is_asked_once_a_trial():
    """Attempts of one trial have one outcome, as a retry of a seeded training has."""
    asked = Counter()

    class Counting(Toy):
        def evaluate(self, architecture, rng):
            asked[architecture.key] += 1
            return super().evaluate(architecture, rng)

    run(Fleet((1.0,) * 4, lost_rate=0.4), evaluator=Counting())

    assert {1} == set(asked.values())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"speeds": ()}, "speeds"),
        ({"speeds": (1.0, 0.0)}, "speeds"),
        ({"speeds": (1.0,), "jitter": -0.1}, "jitter"),
        ({"speeds": (1.0,), "lost_rate": 1.5}, "lost_rate"),
        ({"speeds": (1.0,), "failure_state": State.COMPLETED}, "failure_state"),
    ],
)
def test_a_fleet_refuses_what_makes_no_sense(wrong, says):
    with pytest.raises(ValueError, match=says):
        Fleet(**wrong)


def test_jitter_leaves_the_median_duration_alone():
    fleet = Fleet((1.0,), jitter=0.3)
    takes = [fleet.attempt(0, number, 0, worker=0, duration_s=10.0).report_s for number in range(400)]

    assert np.median(takes) == pytest.approx(10.0, rel=0.06)
    assert np.std(np.log(takes)) == pytest.approx(0.3, rel=0.15)


def test_the_toy_space_counts_what_rows_hold():
    """Exact counts are among a row's values although the evaluator leaves them out."""
    row = run(Fleet((1.0,)), trials=4).trials[0]

    assert row.values["params"] == SPACE.counts(row.architecture)["params"]
