"""The population's shortcuts change nothing: whatever is kept between facts, the facts alone decide."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nasd.domain.history import Fact
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective, Source
from nasd.strategies.population import Population

OBJECTIVES = tuple(Objective(name=name, unit="", source=Source.TRAINED) for name in "abc")
STATES = st.sampled_from([State.COMPLETED] * 6 + [State.PRUNED, State.INFEASIBLE, State.FAILED])
RESULT = st.tuples(
    st.integers(0, 11),  # the trial: one that was learned before is revised
    st.tuples(*[st.integers(0, 5).map(float)] * 3),  # ties are common
    STATES,
    st.sampled_from([0.0] * 8 + [0.5, 1.0]),
)


def learned(people: Population, results: list, *, forgetful: bool) -> list[tuple[TrialNumber, ...]]:
    """The members after each fact; `forgetful`: nothing is kept from one fact to the next."""
    members, seen = [], set()
    for seq, (trial, losses, state, violation) in enumerate(results, start=1):
        if forgetful:
            fresh = Population(people._objectives, capacity=people._capacity)
            fresh.load(people.to_json())
            people = fresh
        values = dict(zip("abc", losses, strict=True))
        kind = "revision" if trial in seen else "result"
        seen.add(trial)
        people.learn(Fact(LearnedSeq(seq), kind, TrialNumber(trial), state, values, violation))
        numbers = people.numbers
        members.append((*numbers, *(people.winner(numbers[0], each) for each in numbers)))
    return members


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(4, 6), st.lists(RESULT, max_size=40))
def test_what_is_kept_between_facts_changes_neither_members_nor_winners(n_objectives, capacity, results):
    """Ranks are kept, and a result that is plainly last is dropped unsorted: only time may depend on it."""
    keeps, forgets = (Population(OBJECTIVES[:n_objectives], capacity=capacity) for _ in range(2))

    assert learned(keeps, results, forgetful=False) == learned(forgets, results, forgetful=True)
