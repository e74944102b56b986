"""From timed calls to a latency: what a busy neighbour, a slow phase or a preempted call may not move."""

import time

import numpy as np
import pytest

from nasd.profiling.measuring import Section, judge
from nasd.profiling.sentinel import Reading, Sentinel, lasting_level
from nasd.profiling.windows import Window, estimate, timed_window, warm_up

BEST = 0.25


def test_the_estimate_is_the_least_of_the_windows_low_quantiles() -> None:
    """One slow window and one preempted call in every window leave the value where it was."""
    quiet = Window((1.0,) * 40 + (90.0,))
    slow = Window((1.6,) * 41)
    found = estimate([slow, quiet, quiet, slow, quiet])
    assert (found.value_ms, found.n) == (1.0, 205)
    assert found.spread_ms == pytest.approx(0.6)
    assert estimate([quiet]).spread_ms is None


def test_a_network_slower_than_a_window_is_still_timed_several_times() -> None:
    """A quantile of one call is a rumour."""
    ran: list[int] = []
    window = timed_window(lambda: ran.append(1), seconds=1e-9)
    assert (len(window.calls_ms), len(ran)) == (5, 7)  # two more that are not timed
    very_slow = timed_window(lambda: time.sleep(0.1), seconds=0.001)
    assert len(very_slow.calls_ms) == 3  # everybody waits


def test_warming_up_takes_ten_calls_and_tells_the_quickest() -> None:
    """The first call chooses kernels; how long one takes decides what else may be done."""
    ran: list[int] = []
    assert 0 <= warm_up(lambda: ran.append(1), seconds=0.0) < 0.01
    assert len(ran) == 10


def section(*, ms: float, before: float = BEST, after: float = BEST, lost: int = 0) -> Section:
    return Section(Window((ms,) * 20), (before, after), preemptions=lost)


def judged(sections: list[Section], *, lasting: float | None = None):
    return judge(sections, best_ms=BEST, lasting=lasting, windows=3, max_spread=0.1)


def test_windows_beside_which_the_sentinel_drifted_are_void() -> None:
    """Before or after, it does not matter: the device changed its state while we timed."""
    good = [section(ms=2.0 + i / 100) for i in range(3)]
    slow_before, slow_after = section(ms=1.0, before=1.06 * BEST), section(ms=1.0, after=1.06 * BEST)
    verdict = judged([slow_before, *good, slow_after])
    assert verdict.kept == tuple(good)
    assert (verdict.estimate.value_ms, verdict.factor, verdict.unsteady) == (2.0, 1.0, None)


def test_drift_below_five_percent_counts() -> None:
    """The sentinel itself is read to a percent or two."""
    sections = [section(ms=2.0, after=1.04 * BEST)] * 3
    assert judged(sections).kept == tuple(sections)


def test_a_state_that_lasts_is_recorded_with_its_factor() -> None:
    """A hot board will not get better while we wait; its own state is what a user will see."""
    hot = [section(ms=3.0, before=1.41 * BEST, after=1.39 * BEST)] * 3
    assert judged(hot).unsteady == "sentinel drift 41%"
    verdict = judged(hot, lasting=1.4)
    assert (verdict.kept, verdict.factor, verdict.unsteady) == (tuple(hot), 1.4, None)


def test_a_lasting_state_is_not_mixed_with_a_better_one() -> None:
    """The least of the windows would be of the state that the device is rarely in."""
    hot = [section(ms=3.0, before=1.4 * BEST, after=1.4 * BEST)] * 3
    verdict = judged([*hot, section(ms=2.0)], lasting=1.4)
    assert verdict.estimate.value_ms == 3.0


def test_what_stays_in_doubt_says_why_and_is_of_the_least_disturbed_windows() -> None:
    """A value that may be wrong is still a value; nobody may take it for a good one."""
    sections = [section(ms=m, before=m * BEST, after=BEST) for m in (1.5, 1.1, 1.3, 1.2)]
    verdict = judged(sections)
    assert verdict.unsteady == "sentinel drift 30%"
    assert verdict.estimate.value_ms == 1.1
    assert judged([*sections, section(ms=1.0), section(ms=1.0)]).unsteady == "2 of 3 windows without drift"
    assert judged([section(ms=m) for m in (1.0, 1.3, 1.6)]).unsteady == "windows spread 30%"


def test_a_value_of_calls_that_were_all_preempted_is_in_doubt() -> None:
    """A long call that loses its core each time reads too long in every quantile; the short sentinel sees nothing."""
    assert judged([section(ms=8.0, lost=20)] * 3).unsteady == "every call lost the core to another process"
    assert judged([section(ms=8.0, lost=19)] * 3).unsteady is None


def readings(*values: float, every_s: float) -> list[Reading]:
    return [Reading(i * every_s, ms) for i, ms in enumerate(values)]


def test_a_level_lasts_when_ten_seconds_of_readings_agree() -> None:
    """Slow phases of a virtual core take seconds; a hot board stays hot."""
    steady = [0.30 + 0.001 * (i % 5) for i in range(25)]
    assert lasting_level(readings(*steady, every_s=0.5)) == pytest.approx(0.302)
    assert lasting_level(readings(*steady, every_s=0.1)) is None  # two seconds
    assert lasting_level(readings(*steady, every_s=5.0)) is None  # three readings in ten seconds
    assert lasting_level(readings(*([0.25, 0.30] * 12), every_s=0.5)) is None
    assert lasting_level([]) is None


def test_single_preempted_readings_do_not_end_a_lasting_state() -> None:
    """On a shared host one in twenty is."""
    values = [0.30] * 25
    values[7] = values[19] = 0.9
    assert lasting_level(readings(*values, every_s=0.5)) == pytest.approx(0.30)


def test_a_sentinel_knows_its_best_and_its_own_state() -> None:
    """The factor is what the conditions of a measurement in that state say."""
    now = [0.0]
    sentinel = Sentinel(clock=lambda: now[0])
    assert sentinel.note(0.2) == 0.2
    assert sentinel.drift(0.21) == pytest.approx(0.05)
    for _ in range(40):
        now[0] += 0.5
        sentinel.note(0.3)
    assert sentinel.best_ms == 0.2
    assert sentinel.lasting_factor() == pytest.approx(1.5)


def test_a_hosts_best_reading_outlives_a_process(tmp_path) -> None:
    """A worker that is started again on a hot board would take the hot state for the best one."""
    file = tmp_path / "nasd-sentinel.json"
    Sentinel(file).note(0.2)
    Sentinel(file).note(0.3)
    assert Sentinel(file).best_ms == 0.2
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("content", ["", "[]", '{"of": "another processor", "best_ms": 0.1}', '{"best_ms": -1}'])
def test_a_file_that_says_nothing_of_this_processor_is_ignored(tmp_path, content: str) -> None:
    """Anybody may leave a file in a shared folder."""
    file = tmp_path / "nasd-sentinel.json"
    file.write_text(content)
    assert Sentinel(file).best_ms == float("inf")


def test_no_link_is_followed_from_a_shared_folder(tmp_path) -> None:
    """Another user's link would make us read or replace what we did not mean."""
    target, link = tmp_path / "target", tmp_path / "nasd-sentinel.json"
    target.write_text("precious")
    link.symlink_to(target)
    Sentinel(link).note(0.2)
    assert target.read_text() == "precious"


def test_the_sentinel_computes_for_a_fraction_of_a_millisecond_to_some() -> None:
    """It stands beside every window, while everybody waits: on no machine may it take long."""
    sentinel = Sentinel()
    found = [sentinel.read() for _ in range(20)]
    assert 0.02 < min(found) < 10
    assert sentinel.best_ms == min(found)
    assert np.quantile(found, 0.25) < 3 * min(found)
