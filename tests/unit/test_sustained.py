"""A limit on a sustained run is decided by an interval, and the interval by calls that resemble their neighbours."""

import time

import numpy as np
import pytest

from nasd.domain.sustained import SustainedVerdict, verdict
from nasd.profiling.sustained import p95_interval


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (18.0, 19.9, SustainedVerdict.KEPT),
        (18.0, 20.0, SustainedVerdict.KEPT),
        (18.0, 20.1, SustainedVerdict.UNDECIDED),
        (20.0, 20.1, SustainedVerdict.UNDECIDED),
        (20.1, 22.0, SustainedVerdict.BROKEN),
        (18.0, None, SustainedVerdict.UNDECIDED),
        (20.1, None, SustainedVerdict.BROKEN),
    ],
)
def test_a_limit_is_decided_only_by_the_whole_interval(low: float, high: float | None, expected: str) -> None:
    """What is called feasible must hold on the device, not on average."""
    assert verdict(low, high, 20.0) is expected


def test_the_interval_holds_the_true_p95_of_independent_calls() -> None:
    """95 % is promised; 200 runs of 1,000 calls each fall short of 90 % once in a thousand times."""
    rng = np.random.default_rng(1)
    truth = 1 + np.log(20)
    held = 0
    for _ in range(200):
        found = p95_interval(1 + rng.exponential(size=1000))
        assert found.low <= found.value <= found.high
        held += found.low <= truth <= found.high
    assert held >= 180


def test_slow_phases_widen_the_interval() -> None:
    """The same calls in another order: neighbours that resemble each other are fewer observations than they seem."""
    rng = np.random.default_rng(2)
    calls = np.where(np.arange(6000) // 200 % 10 == 0, 2.0, 1.0) + rng.normal(0, 0.01, 6000)
    phases, shuffled = p95_interval(calls), p95_interval(rng.permutation(calls))
    assert phases.width > 3 * shuffled.width


def test_few_calls_have_no_upper_end() -> None:
    """With fifty calls the largest lies below the p95 of all in one case of thirteen: nothing to promise a limit by."""
    calls = np.linspace(1, 2, 79)
    assert p95_interval(calls).high is None
    assert p95_interval(calls).width is None
    assert p95_interval(np.linspace(1, 2, 80)).high is not None
    one = p95_interval(np.array([3.0]))
    assert (one.low, one.value, one.high) == (3.0, 3.0, None)


def test_equal_calls_have_an_interval_of_no_width() -> None:
    """A clock may be coarse."""
    found = p95_interval(np.full(500, 2.0))
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_a_minute_of_short_calls_is_summarised_in_seconds() -> None:
    """A network of 30 us makes two million calls a minute; the worker has other work."""
    calls = np.random.default_rng(3).exponential(size=1_000_000)
    before = time.process_time()
    found = p95_interval(calls)
    assert time.process_time() - before < 5
    assert found.low <= np.log(20) <= found.high
