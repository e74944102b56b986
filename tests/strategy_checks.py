"""What a strategy can do, found out by letting it do it: for the contract suite and the table in docs/strategies.md.

Each check runs the strategy and looks; none asks the strategy what it thinks of itself. What was found is kept, so that
the suite and the table find it out once between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import cache

import numpy as np
from space_cases import SPACES
from strategy_cases import RecordedSearch, case_of
from toy_search import ToySearch, built
from toy_space import OBJECTIVES

from nasd.domain.history import Fact, History, Proposal, Wait
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Limit
from nasd.domain.seeding import seed_of, trial_rng
from nasd.domain.space import SearchSpace
from nasd.domain.study import StrategySpec
from nasd.strategies.base import Setting

CONDITIONAL = {
    "cnn, small": ("cnn, small, 1-D",),
    "transformer, small": ("transformer, small",),
    "custom": ("custom, as in the docs", "custom, conditions within blocks", "custom, few legal"),
    "mlp and recipe": ("mlp and recipe",),
}
BIG = 8000  # parameters: a third of samples have as many
LIMIT = Limit(of="params", minimum=float(BIG))


TABLE_HEAD = (
    "| strategy | objectives | limits | conditional spaces | waits | order of results matters | keeps a cache |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


@dataclass(frozen=True)
class Capability:
    """One row of the table, in words; `objectives`: the numbers of them that it took."""

    strategy: str
    objectives: str
    constraints: str
    conditionals: str
    waits: str
    order_matters: str
    cache: str

    def as_row(self) -> str:
        """A line under TABLE_HEAD."""
        return f"| `{self.strategy}` | {' | '.join(astuple(self)[1:])} |"


@cache
def capability(use: str) -> Capability:
    """Run every check."""
    return Capability(
        strategy=use,
        objectives=", ".join(str(n) for n in (1, 2, 3, 4) if _worked(lambda n=n: takes_objectives(use, n))),
        constraints=_said(gain_by_limit(use) > 0.15),
        conditionals=_said(
            all(_worked(lambda name=name: search_in(use, name)) for names in CONDITIONAL.values() for name in names)
        ),
        waits=_said(waits(use)),
        order_matters=_said(order_matters(use)),
        cache=_said(keeps_cache(use)),
    )


def takes_objectives(use: str, n_objectives: int) -> None:
    """Search with so many of the toy's objectives; raises where it can't."""
    RecordedSearch(use, objectives=OBJECTIVES[:n_objectives], population=8).run(24)


@cache
def gain_by_limit(use: str) -> float:
    """By how much the share of proposals that keep a limit rises where the strategy is told of violations.

    Only what it proposes once its random trials are learned counts. The limit runs against an objective, so that
    nothing but the violations leads to it.
    """
    n = 18 if case_of(use).is_slow else case_of(use).n(60)
    shares = []
    for limits in ((LIMIT,), ()):
        kept: list[bool] = []
        for seed in range(1 if case_of(use).is_slow else 4):
            search = ToySearch(use, seed=seed, population=8, limits=limits)
            search.run(n, in_flight=case_of(use).in_flight)
            late = search.history.architectures[max(14, n // 2) :]
            kept += [search.space.counts(each)["params"] >= BIG for each in late]
        shares.append(float(np.mean(kept)))
    return shares[0] - shares[1]


@cache
def search_in(use: str, name: str, *, n_trials: int = 24, in_flight: int | None = None) -> History:
    """Search a real space, with results in the order of their proposals; every proposal is checked.

    Raises:
        AssertionError: one that is not legal, not canonical or not new.
    """
    space, case = SPACES[name].space(), case_of(use)
    objectives, in_flight = OBJECTIVES[:2], in_flight or case.in_flight
    spec = StrategySpec(use=use.partition(", ")[0], population=6, stratified=use.endswith("stratified"))
    strategy, history = (
        built(spec, Setting(space=space, objectives=objectives, costs=space.counts)),
        History(objectives),
    )
    for number in range(min(case.n(n_trials), space.size)):
        proposal = strategy.propose(history, number, trial_rng(1, number))
        assert isinstance(proposal, Proposal)
        assert history.number_of(proposal.architecture.key) is None
        assert proposal.architecture == space.canonical(proposal.architecture.as_dict())
        history.add(proposal)
        if history.n_in_flight >= in_flight:
            learn_oldest(history, space)
    return history


def learn_oldest(history: History, space: SearchSpace) -> None:
    """The oldest trial in flight ends, with values that are the architecture's own; a sixth of them infeasible."""
    number = history.in_flight[0]
    architecture = history.architectures[number]
    noise = seed_of("value", architecture.key) / 2**63
    values = {"val_error": noise, "params": float(space.counts(architecture).get("params", 1 + 1e4 * noise))}
    state = State.INFEASIBLE if noise > 5 / 6 else State.COMPLETED
    history.learn(Fact(LearnedSeq(history.learned_seq + 1), "result", number, state, values, 0.0))


@cache
def waits(use: str) -> bool:
    """Whether it answers Wait to one of forty workers that come before the first result."""
    search = RecordedSearch(use, population=8)
    for _ in range(40):
        proposal = search.proposal()
        if isinstance(proposal, Wait):
            return True
        search.history.add(proposal)
    return False


@cache
def order_matters(use: str) -> bool:
    """Whether the same trials and results, learned in another order, were ever followed by another proposal."""
    case = case_of(use)
    n, n_orders, n_draws = case.n(30), 2 if case.is_slow else 4, 1 if case.is_slow else 4
    first = RecordedSearch(use, seed=12, population=8)
    for _ in range(n):
        first.propose()
    answers = set()
    for order in range(n_orders):
        search = RecordedSearch(use, seed=12, population=8)
        for number, architecture in enumerate(first.history.architectures):
            search.history.add(Proposal(architecture, first.history.operators[number], first.history.parents[number]))
        for number in np.random.default_rng(order).permutation(n):
            search.learn(TrialNumber(int(number)))
        draws = [np.random.default_rng(seed) for seed in range(n_draws)]
        answers.add(tuple(search.strategy.propose(search.history, n, rng).architecture.key for rng in draws))
    return len(answers) > 1


@cache
def keeps_cache(use: str) -> bool:
    search = RecordedSearch(use, population=8).run(24)
    search.proposal()
    return search.strategy.cache() is not None


def _worked(check: Callable[[], object]) -> bool:
    try:
        check()
    except Exception:  # noqa: BLE001 - whatever it was, the strategy can't do that
        return False
    return True


def _said(answer: bool) -> str:
    return "yes" if answer else "no"
