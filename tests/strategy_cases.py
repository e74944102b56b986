"""What the contract suite knows of each strategy besides its name, and how it drives one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from toy_search import ToySearch
from toy_space import ToySpace

from nasd.domain.history import History, Proposal
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.seeding import trial_rng
from nasd.strategies import KNOWN
from nasd.strategies.base import SearchStrategy


@dataclass(frozen=True)
class Case:
    """What a strategy declares of itself, and how much of the suite's time it is worth.

    Attributes:
        order_matters: whether another order of the same results may give other proposals.
        waits: whether it may answer Wait.
        most: trials that an ordinary law takes at most; a strategy that fits models needs some beyond its random ones.
        in_flight: while those are proposed; the law of 8 in flight has its own test.
        most_members: of a space that is proposed to the end.
    """

    order_matters: bool = True
    waits: bool = False
    most: int = 120
    in_flight: int = 8
    most_members: int = 1_000_000
    is_slow: bool = False

    def n(self, n_trials: int) -> int:
        return min(n_trials, self.most)


CASES = {
    "random": Case(order_matters=False),
    "random, stratified": Case(order_matters=False),
    "local-search": Case(order_matters=False),
    "screened": Case(most=40),
    "tpe": Case(order_matters=False, most=30),
    "gp": Case(order_matters=False, most=14, in_flight=3, most_members=20, is_slow=True),
}
USES = tuple(sorted({*KNOWN, "random, stratified"}))


def case_of(use: str) -> Case:
    return CASES.get(use, Case())


def every(uses: Sequence[str] = USES) -> list[object]:
    """The strategies as parameters of a test; one that takes seconds an ask keeps its laws where time is no matter.

    tests/unit/test_gp.py holds gp to the same rows, the same proposals, in every run.
    """
    return [
        pytest.param(use, marks=[pytest.mark.exhaustive, pytest.mark.timeout(600)] if case_of(use).is_slow else [])
        for use in uses
    ]


class RecordedSearch(ToySearch):
    """Remembers how many facts each proposal saw, as a trial's row does; asks as many as the strategy is worth."""

    def __init__(self, use: str, **options) -> None:
        super().__init__(use, **options)
        self.case = case_of(use)
        self.proposed_from: list[int] = []

    def propose(self) -> TrialNumber:
        self.proposed_from.append(len(self.history.facts))
        return super().propose()

    def run(self, n_trials: int, *, in_flight: int | None = None, finish=None) -> RecordedSearch:
        n_left = self.case.n(n_trials + len(self.history)) - len(self.history)
        super().run(n_left, in_flight=in_flight or self.case.in_flight, finish=finish)
        return self

    @property
    def keys(self) -> list[str]:
        return [architecture.key for architecture in self.history.architectures]


def replayed(search: RecordedSearch) -> list[str]:
    """The keys of every proposal again, each from the rows that it saw, by one strategy all along."""
    fresh, history, keys = search.fresh_strategy(), History(search.objectives), []
    for number, architecture in enumerate(search.history.architectures):
        for fact in search.history.facts[len(history.facts) : search.proposed_from[number]]:
            history.learn(fact)
        proposal = fresh.propose(history, number, trial_rng(search.seed, number))
        keys.append(proposal.architecture.key)
        history.add(proposal)
        assert architecture.key == keys[-1], f"trial {number} differs"
    return keys


def restored_from(search: RecordedSearch, when: int, *, finish=None) -> SearchStrategy:
    """Run 60 trials in rough weather (or another); a fresh strategy with the cache as it was after `when` of them."""
    finish = finish or rough_weather
    search.run(when, finish=finish)
    kept = json.loads(json.dumps(search.strategy.cache()))
    search.run(60 - when, finish=finish)
    restored = search.fresh_strategy()
    if kept is not None:
        restored.restore(kept[0], kept[1])
    return restored


def copied(history: History) -> History:
    """The same rows in another object, as after a restart."""
    copy = History(history.objectives)
    for number, architecture in enumerate(history.architectures):
        copy.add(Proposal(architecture, history.operators[number], history.parents[number]))
    for fact in history.facts:
        copy.learn(fact)
    return copy


def rough_weather(search: ToySearch, number: TrialNumber) -> None:
    """Results as they come: most complete, some lost, infeasible, pruned, cancelled, and some values revised later."""
    fate = np.random.default_rng([search.seed, 2, number]).random()
    if fate < 0.1:
        search.learn(number, values={}, state=State.FAILED)
    elif fate < 0.2:
        search.learn(number, values={}, state=State.INFEASIBLE, violation=fate if fate < 0.15 else 0.0)
    elif fate < 0.25:
        search.learn(number, values={"params": 5.0}, state=State.PRUNED)
    elif fate < 0.28:
        search.learn(number, values={}, state=State.CANCELLED)
    elif fate < 0.35:
        search.learn(number, violation=fate)
    else:
        search.learn(number)
        if fate > 0.85:
            old = int(np.random.default_rng([search.seed, 3, number]).integers(number + 1))
            values = {each.name: 0.9 * (2 + fate) for each in search.objectives}
            if search.history.state(TrialNumber(old)) is State.COMPLETED:
                search.learn(TrialNumber(old), values=values, kind="revision")


TINY = (
    ToySpace(max_depth=1, widths=(8,), kernels=(1,), groups=(1,)),
    ToySpace(max_depth=1, widths=(8, 16), kernels=(1,), groups=(1,)),
    ToySpace(max_depth=2, widths=(8, 16), kernels=(3,), groups=(1,)),
    ToySpace(max_depth=2, widths=(8, 16), kernels=(1, 3), groups=(1, 2)),
)
