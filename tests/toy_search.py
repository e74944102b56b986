"""Drives a strategy over the toy space as the controller does: several trials in flight, results out of order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
from toy_space import OBJECTIVES, ToySpace, evaluate

from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Limit, Objective
from nasd.domain.objective import violation as overshoot
from nasd.domain.seeding import trial_rng
from nasd.domain.study import StrategySpec
from nasd.strategies import build
from nasd.strategies.base import SearchStrategy, Setting
from nasd.strategies.gp import Gp
from nasd.strategies.gp_proposer import Proposer


@cache
def _proposer() -> Proposer:
    return Proposer()


def built(spec: StrategySpec, setting: Setting) -> SearchStrategy:
    """The strategy; those of `gp` share one process: an ask carries all that its answer depends on."""
    if spec.use == "gp":
        return Gp(setting.space, setting.objectives, proposer=_proposer())
    return build(spec, setting)


class ToySearch:
    """A history, its strategy and a seed; everything random is keyed by the trial's number."""

    def __init__(
        self,
        use: str,
        *,
        seed: int = 0,
        space: ToySpace | None = None,
        objectives: Sequence[Objective] = OBJECTIVES[:3],
        population: int = 20,
        limits: Sequence[Limit] = (),
    ) -> None:
        self.seed, self.space, self.objectives = seed, space or ToySpace(), tuple(objectives)
        self.limits = tuple(limits)
        name, _, stratified = use.partition(", ")
        self.spec = StrategySpec(use=name, population=population, stratified=bool(stratified))
        self.history = History(self.objectives)
        self.strategy = self.fresh_strategy()

    def fresh_strategy(self) -> SearchStrategy:
        setting = Setting(space=self.space, objectives=self.objectives, limits=self.limits, costs=self.space.counts)
        return built(self.spec, setting)

    def proposal(self, strategy: SearchStrategy | None = None, history: History | None = None) -> Proposal:
        """What would be proposed next; nothing is stored."""
        history = self.history if history is None else history
        number = len(history)
        return (strategy or self.strategy).propose(history, number, trial_rng(self.seed, number))

    def propose(self) -> TrialNumber:
        return self.history.add(self.proposal())

    def learn(
        self,
        number: TrialNumber,
        *,
        values: Mapping[str, float] | None = None,
        state: State = State.COMPLETED,
        violation: float | None = None,
        kind: str = "result",
    ) -> None:
        """One fact. `values`: measured where not given; `violation`: what the limits say of them."""
        if values is None:
            values = evaluate(self.space, self.history.architectures[number])
        kept = {each.name: values[each.name] for each in self.objectives if each.name in values}
        beyond = overshoot(self.limits, values) if violation is None else violation
        seq = LearnedSeq(self.history.learned_seq + 1)
        self.history.learn(Fact(seq, kind, number, state, kept, beyond))

    def run_open(self, n_trials: int, *, keep: set[TrialNumber]) -> None:
        """Propose and finish `n_trials` one by one, leaving those in `keep` in flight."""
        for _ in range(n_trials):
            number = self.propose()
            if number not in keep:
                self.learn(number)

    def run(
        self, n_trials: int, *, in_flight: int = 8, finish: Callable[[ToySearch, TrialNumber], None] | None = None
    ) -> ToySearch:
        """Propose `n_trials` more, always `in_flight` open, finishing a random open one each time; then drain."""
        finish = finish or ToySearch.learn
        order = np.random.default_rng([self.seed, 1])
        for _ in range(n_trials):
            self.propose()
            if self.history.n_in_flight >= in_flight:
                finish(self, TrialNumber(int(order.choice(self.history.in_flight))))
        while self.history.n_in_flight:
            finish(self, TrialNumber(int(order.choice(self.history.in_flight))))
        return self
