"""Other libraries' searches as strategies of nasd, so that the very same simulator drives them.

Fair to them: exactly as many trials in flight as there are workers; no look-ahead. A network that was evaluated before
is answered at once with what was told then, free and uncounted, and the library is asked again; one that is in flight
is answered when its result comes. A draft that is no member of the space costs nothing either. Losses are told on the
scale on which distances mean something (logarithms of counts and latencies), as nasd's own strategies read them.

They are stateful inside and can't be resumed: this is a bench, not a product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import Fact, History, Proposal, Wait
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.scoring import on_scale
from nasd.strategies.base import Setting
from nasd.strategies.fresh import unproposed

ADAPTER = "adapter 3"  # part of every peer's version: what changes here changes its proposals
MOST_ASKS = 400  # in one proposal, before a library that repeats itself is helped out with a random network
MOST_DUPLICATES = 800  # in one run; from there on FEWEST_ASKS a proposal: every answer makes Optuna's next ask dearer,
FEWEST_ASKS = 10  #       and a sampler that has settled on known networks would ask for minutes
LEARNS_FROM = frozenset({State.COMPLETED, State.PRUNED, State.INFEASIBLE})


@dataclass(frozen=True, slots=True)
class Asked:
    """What a library wants evaluated.

    Attributes:
        handle: the library's own; handed back with the result.
        architecture: None where its draft is no member of the space.
    """

    handle: object
    architecture: Architecture | None


@dataclass(frozen=True, slots=True)
class Told:
    """A result.

    Attributes:
        losses: by objective, minimised.
        excess: by limit: how far it is broken, relative to it; at most 0 where it is kept.
    """

    losses: tuple[float, ...]
    excess: tuple[float, ...]


class Asker(Protocol):
    """A library's ask and tell."""

    @property
    def version(self) -> str: ...

    def ask(self) -> Asked | None:
        """The next draft; None: it waits for results."""
        ...

    def tell(self, handle: object, told: Told | None) -> None:
        """A result; None for a draft that is no member, and for a trial without values."""
        ...


class Peer:
    """A library's search behind `nasd.strategies.base.SearchStrategy`.

    Attributes:
        n_duplicates: drafts that were answered from what was known.
        n_illegal: drafts that were no members of the space.
        n_random: proposals that it was helped out with.
    """

    def __init__(self, name: str, asker: Asker, setting: Setting) -> None:
        self.name = name
        self._asker, self._setting = asker, setting
        self._open: dict[TrialNumber, list[object]] = {}
        self._told: dict[TrialNumber, Told | None] = {}
        self._n_facts = 0
        self.n_duplicates = self.n_illegal = self.n_random = 0

    @property
    def version(self) -> str:
        return self._asker.version

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal | Wait:
        """The library's next new network.

        Raises:
            SpaceExhausted: every architecture was proposed.
        """
        for fact in history.facts[self._n_facts :]:
            self._learn(fact)
        self._n_facts = len(history.facts)
        for _ in range(MOST_ASKS if self.n_duplicates < MOST_DUPLICATES else FEWEST_ASKS):
            asked = self._asker.ask()
            if asked is None:
                return Wait("its generation is not complete")
            if asked.architecture is None:
                self.n_illegal += 1
                self._asker.tell(asked.handle, None)
                continue
            twin = history.number_of(asked.architecture.key)
            if twin is None:
                self._open[TrialNumber(trial_number)] = [asked.handle]
                return Proposal(architecture=asked.architecture, operator=self.name)
            self._answer(twin, asked.handle)
        self.n_random += 1
        return Proposal(architecture=unproposed(self._setting.space, history, rng), operator="sample")

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        return None

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Nothing can be taken over."""

    def _answer(self, twin: TrialNumber, handle: object) -> None:
        """A duplicate: at once where its result is known, else with it."""
        self.n_duplicates += 1
        if twin in self._told:
            self._asker.tell(handle, self._told[twin])
        else:
            self._open.setdefault(twin, []).append(handle)

    def _learn(self, fact: Fact) -> None:
        if fact.trial in self._told:  # a revision: other libraries have no word for it
            return
        self._told[fact.trial] = told = self._result(fact)
        for handle in self._open.pop(fact.trial, ()):
            self._asker.tell(handle, told)

    def _result(self, fact: Fact) -> Told | None:
        objectives = self._setting.objectives
        losses = [each.sign * fact.values.get(each.name, np.nan) for each in objectives]
        scaled = on_scale(losses, objectives)
        if fact.state not in LEARNS_FROM or not np.isfinite(scaled).all():
            return None
        return Told(tuple(scaled.tolist()), self._excess(fact.values))

    def _excess(self, values: Mapping[str, float]) -> tuple[float, ...]:
        found = []
        for limit in self._setting.limits:
            value = values.get(limit.of)
            for bound, sign in ((limit.maximum, 1.0), (limit.minimum, -1.0)):
                if bound is not None:
                    found.append(0.0 if value is None else sign * (value - bound) / max(abs(bound), 1e-12))
        return tuple(found)


def _optuna(sampler: str) -> Callable[[Setting, int], Asker]:
    def made(setting: Setting, seed: int) -> Asker:
        from search_optuna import OptunaAsker

        return OptunaAsker(sampler, setting, seed)

    return made


def _pymoo(population: int) -> Callable[[Setting, int], Asker]:
    def made(setting: Setting, seed: int) -> Asker:
        from search_pymoo import PymooNsga2

        return PymooNsga2(setting, seed, population=population)

    return made


PEERS: Mapping[str, Callable[[Setting, int], Asker]] = {
    "optuna-nsga2": _optuna("nsga2-50"),
    "optuna-nsga2-20": _optuna("nsga2-20"),
    "optuna-tpe": _optuna("tpe"),
    "optuna-tpe-group": _optuna("tpe-group"),
    "optuna-gp": _optuna("gp"),
    "pymoo-nsga2-50": _pymoo(50),
    "pymoo-nsga2-20": _pymoo(20),
}


def peer(name: str, setting: Setting, seed: int) -> Peer:
    """The search of that name, fresh."""
    return Peer(name, PEERS[name](setting, seed), setting)
