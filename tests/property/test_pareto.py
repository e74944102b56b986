"""The front is a function of the rows: whatever happened in between, it equals brute force."""

from __future__ import annotations

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from nasd.domain.ids import TrialNumber
from nasd.domain.pareto import Front, non_dominated

VALUE = st.one_of(st.integers(0, 4).map(float), st.floats(-1e3, 1e3), st.just(float("nan")))  # ties are common


def rows(n_objectives: int) -> st.SearchStrategy:
    return st.lists(st.tuples(*[VALUE] * n_objectives), max_size=30)


def brute_force(losses: np.ndarray) -> list[bool]:
    """The definition, word for word."""
    known = [not np.isnan(row).any() for row in losses]
    return [
        known[i]
        and not any(known[j] and (losses[j] <= row).all() and (losses[j] < row).any() for j in range(len(losses)))
        for i, row in enumerate(losses)
    ]


@given(st.integers(1, 4).flatmap(lambda m: rows(m).map(lambda each: np.array(each, dtype=float).reshape(-1, m))))
def test_non_dominated_is_the_definition(losses):
    """NaN rows are never marked, equal rows all are, and the compiled oracle agrees."""
    mask = non_dominated(losses)

    assert brute_force(losses) == mask.tolist()
    known = ~np.isnan(losses).any(axis=1)
    if known.any():
        assert moocore.is_nondominated(losses[known], keep_weakly=True).tolist() == mask[known].tolist()
        first = NonDominatedSorting().do(losses[known], only_non_dominated_front=True)
        assert np.flatnonzero(mask[known]).tolist() == sorted(first.tolist())


OPERATION = st.tuples(st.sampled_from(["insert", "insert", "insert", "revise", "retract"]), st.integers(0, 99))


@given(st.data(), st.integers(1, 4), st.lists(OPERATION, max_size=40))
@settings(deadline=None)
def test_front_equals_brute_force_after_any_mix_of_insert_revise_retract(data, n_objectives, operations):
    """A departed member's victims come back; entered and left always account for the difference."""
    row = st.tuples(*[VALUE] * n_objectives)
    front, present = Front(n_objectives), {}
    for number, (operation, pick) in enumerate(operations):
        before = set(front.members())
        if operation == "insert" or not present:
            present[number] = data.draw(row)
            inserted = front.insert(TrialNumber(number), present[number])
            entered, left = {number} if inserted.entered else set(), set(inserted.left)
        else:
            target = sorted(present)[pick % len(present)]
            if operation == "revise":
                present[target] = data.draw(row)
            else:
                del present[target]
            change = front.rebuild(list(present), np.array(list(present.values())).reshape(-1, n_objectives))
            entered, left = set(change.entered), set(change.left)

        losses = np.array(list(present.values()), dtype=float).reshape(-1, n_objectives)
        expected = [number for number, mask in zip(present, brute_force(losses), strict=True) if mask]
        assert tuple(expected) == front.members()
        assert (before | entered) - left == set(front.members())
        np.testing.assert_array_equal(
            np.array([present[n] for n in expected]).reshape(front.losses().shape), front.losses()
        )


def test_removed_member_is_gone_and_only_rebuild_brings_its_victims_back():
    """`remove` is for a caller that rebuilds anyway; it must not pretend to know the history."""
    front = Front(2)
    front.insert(TrialNumber(0), [2.0, 2.0])
    assert (TrialNumber(0),) == front.insert(TrialNumber(1), [1.0, 1.0]).left

    assert front.remove(TrialNumber(1))
    assert not front.remove(TrialNumber(1))
    assert front.members() == ()
    assert (TrialNumber(0),) == front.rebuild([TrialNumber(0)], [[2.0, 2.0]]).entered


def test_member_is_never_inserted_twice():
    """A revision through `insert` would compare a trial with its own old row."""
    front = Front(1)
    front.insert(TrialNumber(3), [1.0])

    with pytest.raises(ValueError, match="trial 3"):
        front.insert(TrialNumber(3), [0.5])


def test_front_grows_past_its_first_capacity():
    """200 members on a line: the buffers double without losing a row."""
    front = Front(2)
    for number in range(200):
        assert front.insert(TrialNumber(number), [number, -number]).entered

    assert tuple(range(200)) == front.members()
    assert front.losses()[199].tolist() == [199.0, -199.0]
