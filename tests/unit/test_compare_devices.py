"""Rank correlation over common trials only; what falls off a front; what can't be said yet."""

from __future__ import annotations

import pytest

from nasd.app.compare import FEWEST, Agreement, agreement, compare_devices
from nasd.domain.ids import DeviceKind
from nasd.domain.objective import value_name
from nasd.store.view_rows import ObjectiveColumn

ERROR = ObjectiveColumn("val_error", "fraction", is_maximised=False, on=())
LATENCY = ObjectiveColumn("latency_ms", "ms", is_maximised=False, on=("a", "b"))
COLUMNS = dict.fromkeys(("a", "b"), (ERROR, LATENCY))


def rows(trials, fronts):
    """Rows of `device_trials` for [(error, {kind: latency})]; `fronts`: kind -> members."""
    made = []
    for trial, (error, latencies) in enumerate(trials):
        objectives = {"val_error": {"value": error}}
        objectives |= {value_name("latency_ms", DeviceKind(kind)): {"value": ms} for kind, ms in latencies.items()}
        for kind in ("a", "b"):
            known = latencies.get(kind)
            made.append(
                {
                    "device_kind": kind, "trial": trial, "latency_ms": known, "latency_spread": known and 0.1,
                    "params": 10 - trial, "flops": trial, "on_front": trial in fronts[kind], "objectives": objectives,
                }
            )  # fmt: skip
    return made


TRIALS = [(0.1, {"a": 1.0, "b": 5.0}), (0.1, {"a": 2.0, "b": 2.0}), (0.3, {"a": 3.0}), (0.05, {"a": 3.0, "b": 3.0})]
FRONTS = {"a": {0, 3}, "b": {1, 3}}


def test_only_common_trials_are_ranked():
    """A trial that one kind lacks says nothing of their agreement."""
    found = compare_devices(rows(TRIALS, FRONTS), ("a", "b"), COLUMNS)
    (pair,) = found.pairs

    assert found.measured == {"a": 4, "b": 3}
    assert pair.latency == agreement({0: 1.0, 1: 2.0, 3: 3.0}, {0: 5.0, 1: 2.0, 3: 3.0, 9: 1.0})
    assert pair.latency.n == 3
    assert (pair.shared, pair.jaccard) == ((3,), pytest.approx(1 / 3))
    assert found.sizes["a"]["flops"].kendall == pytest.approx(-found.sizes["a"]["params"].kendall)


def test_a_member_that_others_beat_on_another_kind_falls_off():
    """Trial 0 is fastest on a and slowest on b, by far more than the spreads."""
    found = compare_devices(rows(TRIALS, FRONTS), ("a", "b"), COLUMNS)

    assert [(each.trial, each.of, each.on, each.beaten_by, each.is_clear) for each in found.fallen] == [
        (0, "a", "b", (1, 3), True),
        (1, "b", "a", (0,), True),
    ]
    assert found.unknown == {("a", "b"): (), ("b", "a"): ()}


def test_a_fall_within_noise_is_said_to_be_one():
    """Two networks whose latencies differ by less than they scatter change places by chance."""
    trials = [(0.1, {"a": 1.0, "b": 1.05}), (0.1, {"a": 1.02, "b": 1.0})]
    (one, other) = compare_devices(rows(trials, {"a": {0}, "b": {1}}), ("a", "b"), COLUMNS).fallen

    assert (one.is_clear, other.is_clear) == (False, False)


def test_a_member_that_was_not_measured_there_has_not_fallen_off():
    """Unknown is not worse."""
    found = compare_devices(rows(TRIALS, {"a": {0, 2, 3}, "b": {1, 3}}), ("a", "b"), COLUMNS)
    assert found.unknown["a", "b"] == (2,)
    assert all(each.trial != 2 for each in found.fallen)


def test_ties_and_constants_have_no_invented_correlation():
    """One distinct value ranks nothing."""
    assert agreement({}, {}) == Agreement(0, None, None)
    assert agreement({0: 1.0, 1: 1.0}, {0: 1.0, 1: 2.0}) == Agreement(2, None, None)


def test_kinds_are_too_alike_above_the_bound_or_while_too_little_is_known():
    """Passing for lack of data would be the easiest way to pass."""
    same = [(0.1, {"a": float(n), "b": n + 0.5}) for n in range(FEWEST)]
    alike = compare_devices(rows(same, {"a": set(), "b": set()}), ("a", "b"), COLUMNS)
    reverse = [(0.1, {"a": float(n), "b": -float(n)}) for n in range(FEWEST)]
    unlike = compare_devices(rows(reverse, {"a": set(), "b": set()}), ("a", "b"), COLUMNS)
    few = compare_devices(rows(reverse[1:], {"a": set(), "b": set()}), ("a", "b"), COLUMNS)

    assert alike.too_alike(0.9) == [f"a and b hardly differ: Kendall tau 1.000 over {FEWEST} common trials, above 0.9"]
    assert unlike.too_alike(0.9) == []
    assert few.too_alike(0.9) == [f"a and b: {FEWEST - 1} common trials say nothing yet; {FEWEST} are the fewest"]
    assert alike.pairs[0].jaccard is None
