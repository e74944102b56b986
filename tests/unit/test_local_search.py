"""What makes this a Pareto local search: neighbours of the front, all of them, then a fresh start."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from toy_search import ToySearch
from toy_space import OBJECTIVES, ToySpace

from nasd.domain.history import History, Proposal
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.pareto import non_dominated
from nasd.domain.seeding import trial_rng
from nasd.strategies.local_search import LocalSearch, _Neighbours

SMALL = ToySpace(max_depth=2, widths=(8, 16), kernels=(1, 3), groups=(1, 2))


def neighbours(space: ToySpace, parent, n_draws: int = 3000) -> set[str]:
    draws = np.random.default_rng(0)
    return {space.mutate(parent, draws).key for _ in range(n_draws)}


def test_neighbours_are_of_members_of_the_front():
    """Whoever is beaten is left alone, with what is left of its neighbours (first improvement)."""
    search = ToySearch("local-search", seed=1)
    for _ in range(60):
        number = search.propose()
        front = set(search.strategy._archive.members())
        assert set(search.history.parents[number]) <= front
        search.learn(number)


def test_a_neighbour_that_beats_its_parent_is_explored_next():
    """Climbing goes on from the better one at once."""
    search = ToySearch("local-search", seed=2, objectives=OBJECTIVES[:1]).run(3, in_flight=1)
    child = search.propose()
    search.learn(child, values={"val_error": 1e-6})

    assert search.proposal().parents == (child,)


def test_members_of_the_front_are_explored_evenly():
    """A front that advances in one place only is a front with holes."""
    search = ToySearch("local-search", seed=3).run(8, in_flight=8)
    values = [{"val_error": 0.1 + 0.1 * n, "params": 100.0 - n, "latency_ms": 1.0} for n in range(4)]
    for row in values:  # four ends of a front that no neighbour enters
        search.learn(search.propose(), values={**row, "val_error": row["val_error"] / 1e6})
    for _ in range(40):
        search.learn(search.propose(), values={"val_error": 9.0, "params": 1e9, "latency_ms": 99.0})
    front = search.strategy._archive.members()
    n_children = Counter(parent for parents in search.history.parents for parent in parents if parent in front)

    assert set(n_children) == set(front)
    assert len(front) >= 4
    assert max(n_children.values()) - min(n_children.values()) <= 1


def test_all_neighbours_of_a_member_are_found_before_a_fresh_start():
    """A neighbour that is missed is a local optimum that is none."""
    search = ToySearch("local-search", seed=4, space=SMALL, objectives=OBJECTIVES[:1])
    first = search.propose()
    search.learn(first, values={"val_error": 0.0})
    while search.history.operators[-1] != "restart":
        search.learn(search.propose(), values={"val_error": 1.0})
    proposed = {architecture.key for architecture in search.history.architectures}
    missed = neighbours(SMALL, search.history.architectures[first]) - proposed

    assert not missed


def test_a_fresh_start_climbs_from_where_it_begins():
    """With one objective no second start would ever be explored, were it measured against the best so far."""
    search = ToySearch("local-search", seed=5, space=SMALL, objectives=OBJECTIVES[:1])
    search.learn(search.propose(), values={"val_error": 0.0})
    while search.history.operators[-1] != "restart":
        search.learn(search.propose(), values={"val_error": 1.0})
    search.learn(start := TrialNumber(len(search.history) - 1), values={"val_error": 1.0}, kind="revision")

    assert search.proposal().parents == (start,)


def test_neighbours_in_flight_are_not_proposed_again():
    """Several workers explore one member together."""
    search = ToySearch("local-search", seed=6, objectives=OBJECTIVES[:1])
    search.learn(search.propose())
    for _ in range(8):
        search.propose()

    assert set(search.history.parents[1:]) == {(0,)}
    assert len({each.key for each in search.history.architectures}) == 9


def test_without_a_feasible_result_the_least_infeasible_is_explored():
    """Constrained domination leads back into the limits."""
    search = ToySearch("local-search", seed=7)
    for beyond in (0.5, 0.1, 0.9):
        search.learn(
            search.history.add(Proposal(search.space.sample(trial_rng(7, len(search.history))), "sample")),
            violation=beyond,
        )
    assert search.proposal().parents == (1,)
    search.learn(TrialNumber(2), kind="revision", violation=0.0)
    assert search.proposal().parents == (2,)
    search.learn(TrialNumber(2), values={}, state=State.FAILED, kind="revision")

    assert search.proposal().parents == (1,)


@pytest.mark.parametrize("seed", range(5))
def test_a_walk_through_neighbours_depends_on_the_architecture_alone(seed):
    """Whoever asked before, and how often: what is explored follows from rows."""
    space = ToySpace()
    parent = space.sample(np.random.default_rng(seed))
    history, one, keys = History(OBJECTIVES), _Neighbours(space, parent), []
    while (found := one.first_unproposed(history)) is not None:
        assert found is one.first_unproposed(history)
        keys.append(found.key)
        history.add(Proposal(found, "neighbour"))
    other = _Neighbours(space, parent)

    assert other.first_unproposed(history) is None
    assert other._known == set(keys)


def test_it_finds_most_of_the_front_of_a_small_space():
    """The strongest simple search there is on small spaces, by the literature; random search is far behind."""
    space = ToySpace(max_depth=3, widths=(8, 16, 32), kernels=(1, 3), groups=(1, 2))

    def n_found(use: str) -> float:
        found = []
        for seed in range(4):
            search = ToySearch(use, seed=seed, space=space, objectives=OBJECTIVES[:2]).run(150)
            found.append(len(true_front & {each.key for each in search.history.architectures}))
        return float(np.mean(found))

    everything = ToySearch("random", space=space, objectives=OBJECTIVES[:2]).run(space.size)
    mask = non_dominated(everything.history.losses)
    true_front = {each.key for each, kept in zip(everything.history.architectures, mask, strict=True) if kept}

    assert n_found("local-search") > 0.55 * len(true_front)
    assert n_found("local-search") > 3 * n_found("random")
    assert LocalSearch(space, OBJECTIVES).cache() is None
