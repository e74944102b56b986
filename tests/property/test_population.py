"""Whatever strategies keep between facts, the facts alone decide who is in, who wins and who may be a parent."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasd.domain.architecture import Architecture
from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective, Source
from nasd.domain.pareto import non_dominated
from nasd.strategies.aging import AgingPopulation
from nasd.strategies.archive import Archive
from nasd.strategies.population import Population
from nasd.strategies.worth import contributions

OBJECTIVES = tuple(Objective(name=name, unit="", source=Source.TRAINED) for name in "abc")
STATES = st.sampled_from([State.COMPLETED] * 6 + [State.PRUNED, State.INFEASIBLE, State.FAILED])
N_TRIALS = 12
RESULT = st.tuples(
    st.integers(0, N_TRIALS - 1),  # the trial: one that was learned before is revised
    st.tuples(*[st.integers(0, 5).map(float)] * 3),  # ties are common
    STATES,
    st.sampled_from([0.0] * 8 + [0.5, 1.0]),
)
KINDS = {"crowding": Population, "contributions": partial(Population, worth=contributions), "aging": AgingPopulation}


def facts_of(results: list) -> list[Fact]:
    """The first result of a trial is one, later ones are revisions."""
    facts, seen = [], set()
    for seq, (trial, losses, state, violation) in enumerate(results, start=1):
        kind = "revision" if trial in seen else "result"
        seen.add(trial)
        values = dict(zip("abc", losses, strict=True))
        facts.append(Fact(LearnedSeq(seq), kind, TrialNumber(trial), state, values, violation))
    return facts


def learned(make, facts: list[Fact], *, forgetful: bool) -> list[tuple[TrialNumber, ...]]:
    """The members after each fact; `forgetful`: nothing is kept from one fact to the next."""
    people, members = make(), []
    for fact in facts:
        if forgetful:
            fresh = make()
            fresh.load(people.to_json())
            people = fresh
        people.learn(fact)
        numbers = people.numbers
        members.append((*numbers, *(people.winner(numbers[0], each) for each in numbers)))
    return members


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(st.integers(1, 3), st.integers(4, 6), st.lists(RESULT, max_size=40))
def test_what_is_kept_between_facts_changes_neither_members_nor_winners(kind, n_objectives, capacity, results):
    """Ranks are kept, and a result that is plainly last is dropped unsorted: only time may depend on it."""
    make, facts = partial(KINDS[kind], OBJECTIVES[:n_objectives], capacity=capacity), facts_of(results)

    assert learned(make, facts, forgetful=False) == learned(make, facts, forgetful=True)


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(0, 4), st.lists(st.lists(RESULT, max_size=5), max_size=12))
def test_the_archive_is_the_front_by_brute_force_whatever_it_saw_before(n_objectives, first, batches):
    """Facts come in batches, with revisions of what was a member a moment ago; rows alone decide."""
    history, archive = History(OBJECTIVES[:n_objectives]), Archive(n_objectives, first=first)
    for number in range(N_TRIALS):
        history.add(Proposal(Architecture.of("toy", {"x": number}), "sample"))
    facts = facts_of([result for batch in batches for result in batch])
    for batch in batches:
        for _ in batch:
            history.learn(facts[len(history.facts)])
        archive.follow(history)
        assert archive.members() == by_force(history, first)


def by_force(history: History, first: int) -> tuple[int, ...]:
    ranked = {State.COMPLETED, State.PRUNED}
    states = [history.state(TrialNumber(number)) for number in range(len(history))]
    counts = np.array([number >= first for number in range(len(history))])
    feasible = counts & np.array([state in ranked for state in states]) & (history.violations <= 0)
    front = non_dominated(np.where(feasible[:, None], history.losses, np.nan))
    if front.any():
        return tuple(np.flatnonzero(front).tolist())
    beyond = np.array([state in {*ranked, State.INFEASIBLE} for state in states]) & counts & (history.violations > 0)
    if not beyond.any():
        return ()
    return tuple(np.flatnonzero(beyond & (history.violations == history.violations[beyond].min())).tolist())
