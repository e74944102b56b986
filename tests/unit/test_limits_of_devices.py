"""Limits on what a device measures: which trial or front they break, and what an undecided p95 leads to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from toy_study import toy_parts, toy_spec, toy_study

from nasd.controller.advance import advance
from nasd.controller.mind import StudyMind
from nasd.controller.rounds import MOST_UNDECIDED
from nasd.domain.ids import LOCAL, DeviceKind, TrialId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.study import LimitSpec
from nasd.domain.study_search import Scope, Statistic
from nasd.ports.trials import Finished, Step

PI5 = DeviceKind("pi5")
P95 = {"statistic": Statistic.P95, "sustained_s": 5.0}
VALUES = {"val_error": 0.1, "params": 100.0, "latency_ms": 1.0, "latency_ms@pi5": 4.0}


def mind_of(*limits: LimitSpec) -> StudyMind:
    """Three baselines are under way."""
    mind = StudyMind(toy_parts(toy_study(toy_spec(kinds=(LOCAL, PI5), limits=limits, trials=9))))
    advance(mind, [], target=3)
    return mind


def tell(
    mind: StudyMind,
    values: Mapping[str, float],
    *,
    number: int = 0,
    kind: str = "result",
    state: State = State.COMPLETED,
    violation: float = 0.0,
) -> Step:
    found = Finished(TrialId(number), TrialNumber(number), kind, state, {**VALUES, **values}, violation)
    return advance(mind, [found], target=3)


def interval(low: float, high: float | None) -> dict[str, float]:
    ends = {"latency_p95_ms@pi5": low, "latency_p95_low_ms@pi5": low}
    return ends if high is None else ends | {"latency_p95_high_ms@pi5": high}


def test_a_limit_of_a_trial_breaks_all_its_fronts_and_one_of_a_device_its_own():
    """`scope = "device"` leaves the other boards' fronts alone."""
    of_trial, of_device = (
        mind_of(LimitSpec(of="latency_ms", on=PI5, max=2, scope=scope)) for scope in (Scope.TRIAL, Scope.DEVICE)
    )
    assert tell(of_trial, {}).facts[0].violation == 1.0
    assert tell(of_device, {}).facts[0].violation == 0.0

    assert [of_trial.fronts[kind].members for kind in (LOCAL, PI5)] == [(), ()]
    assert [of_device.fronts[kind].members for kind in (LOCAL, PI5)] == [(0,), ()]


def test_what_a_worker_found_over_a_limit_is_learned_by_how_much():
    """A board said so before anything was trained: the strategy must learn which networks are too slow."""
    mind = mind_of(LimitSpec(of="latency_ms", on=PI5, max=2))
    values = {"params": 100.0, "latency_ms@pi5": 5.0}
    found = Finished(TrialId(0), TrialNumber(0), "result", State.INFEASIBLE, values, 0.4)
    (fact,) = advance(mind, [found], target=3).facts

    assert (fact.state, fact.violation, fact.values) == (State.INFEASIBLE, 1.5, values)
    assert mind.history.violations[0] == 1.5
    assert mind.history.losses[0].tolist()[2] == 100.0
    assert not mind.fronts[LOCAL].members


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(
    ("ends", "on_front", "is_measured_again"),
    [
        (interval(8, 9), True, False),
        (interval(10, 10), True, False),
        (interval(10.1, 12), False, False),
        (interval(9, 12), False, True),
        (interval(9, None), False, True),
        ({}, False, True),
    ],
)
def test_a_p95_is_judged_by_its_interval(scope, ends, on_front, is_measured_again):
    """A limit is kept where the whole interval keeps it; a run that does not decide is made again."""
    mind = mind_of(LimitSpec(of="latency_ms", on=PI5, max=10, scope=scope, **P95))
    step = tell(mind, ends)
    is_broken = ends.get("latency_p95_low_ms@pi5", 0) > 10

    assert mind.fronts[PI5].members == ((0,) if on_front else ())
    assert mind.fronts[LOCAL].members == (() if is_broken and scope is Scope.TRIAL else (0,))
    assert [(new.stage, new.device_kind, new.round) for _, new in step.new_rounds] == (
        [(Stage.MEASURE, PI5, 2)] if is_measured_again else []
    )
    assert mind.is_quiet is False


def test_an_undecided_limit_is_measured_again_a_few_times_and_then_left():
    """A device that is just at the limit would be measured for ever."""
    mind = mind_of(LimitSpec(of="latency_ms", on=PI5, max=10, **P95))
    kinds = ["result", *["revision"] * (MOST_UNDECIDED + 2)]
    asked = [tell(mind, interval(9, 12), kind=kind).new_rounds for kind in kinds]
    assert [len(each) for each in asked] == [1] * MOST_UNDECIDED + [0] * 3

    step = tell(mind, interval(8, 9), kind="revision")
    assert mind.fronts[PI5].members == (0,)
    assert step.front[-1].entered == (0,)


def test_a_trial_that_could_not_enter_anyhow_is_not_measured_again():
    """A sustained run costs a minute of the board."""
    mind = mind_of(LimitSpec(of="latency_ms", on=PI5, max=10, **P95))
    tell(mind, interval(8, 9))
    worse = {"val_error": 0.2, "params": 200.0, "latency_ms@pi5": 9.0, "latency_ms": 3.0}
    assert not tell(mind, {**worse, **interval(9, 12)}, number=1).new_rounds
