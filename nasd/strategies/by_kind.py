"""One strategy for each device kind, each shown the study as if its kind were the only one.

With every device's latency as an objective of one front nearly every trial would be non-dominated, and selection noise.
So each proposal serves one kind, which is written into its notes: the kind that was served least since the set of kinds
last changed, trials that taught nothing not counted (deficit round-robin with equal weights), the first named on a tie.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nasd.domain.history import Fact, History, Proposal, Wait
from nasd.domain.ids import LOCAL, DeviceKind, LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import OF_A_DEVICE, Limit, Objective, value_name, violation
from nasd.strategies.base import SearchStrategy
from nasd.strategies.mirror import Mirror

SERVES = "serves"  # the key of a proposal's notes
_LOST = frozenset({State.FAILED, State.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class KindStrategy:
    """What serves one kind.

    Attributes:
        objectives: of the kind's front, by their plain names.
        limits: that keep a trial off this kind's front alone, by the names that facts' values have.
        since: the first trial that may serve it.
    """

    kind: DeviceKind
    strategy: SearchStrategy
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    since: int = 0

    @property
    def is_measured(self) -> bool:
        """Whether its values may come late: they are results then, as they will be once another kind has joined."""
        return any(each.device is not None for each in self.objectives)


class ByKind:
    """A strategy made of one a kind; a pure function of the history, as each of them is.

    Args:
        parts: in the study's order of kinds, at least one of them from the first trial on.
    """

    def __init__(self, parts: Sequence[KindStrategy]) -> None:
        self._parts = {part.kind: part for part in parts}
        self._turns = Turns({part.kind: part.since for part in parts})
        self._shown = {part.kind: Shown(part) for part in parts}
        first = next(part.strategy for part in parts if part.since == 0)
        self.name = first.name
        # a kind that joined leaves the version alone: the trials before it are still made again
        self.version = first.version + "-kinds-1" * (sum(part.since == 0 for part in parts) > 1)

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal | Wait:
        """What the strategy whose turn it is proposes for its kind.

        Raises:
            SpaceExhausted: it has nothing left, and so has none of the others: they propose from one space.
        """
        kind = self._turns.next(history, trial_number)
        proposal = self._parts[kind].strategy.propose(self._shown[kind].after(history), trial_number, rng)
        if isinstance(proposal, Wait) or len(self._parts) == 1:
            return proposal
        return replace(proposal, notes={**proposal.notes, SERVES: kind})

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The caches of all, each with the fact that it holds up to."""
        kept = {kind: cached for kind, part in self._parts.items() if (cached := part.strategy.cache()) is not None}
        if not kept:
            return None
        if len(self._parts) == 1:
            return next(iter(kept.values()))
        newest = max(seq for seq, _ in kept.values())
        return newest, {"kinds": {kind: [int(seq), state] for kind, (seq, state) in kept.items()}}

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over those of kinds that there are."""
        if len(self._parts) == 1:
            next(iter(self._parts.values())).strategy.restore(learned_seq, state)
            return
        kinds = state.get("kinds")
        for kind, cached in kinds.items() if isinstance(kinds, Mapping) else ():
            part = self._parts.get(DeviceKind(str(kind)))
            if part is None or not isinstance(cached, list | tuple) or len(cached) != 2:
                continue
            seq, own = cached
            if isinstance(seq, int) and isinstance(own, dict):
                part.strategy.restore(LearnedSeq(seq), own)


class Turns:
    """Whose turn it is, from the notes and the ends of the trials so far.

    Args:
        since: kind -> the first trial that may serve it.
    """

    def __init__(self, since: Mapping[DeviceKind, int]) -> None:
        self._since = dict(since)
        self._forget()

    def next(self, history: History, number: int) -> DeviceKind:
        """The kind that trial `number` serves."""
        kinds = [kind for kind, since in self._since.items() if since <= number]
        if len(kinds) == 1:
            return kinds[0]
        self._follow(history, max(since for since in self._since.values() if since <= number))
        return min(kinds, key=lambda kind: self._n_served[kind])

    def _forget(self) -> None:
        self._of: History | None = None
        self._n_seen = self._n_facts = self._era = 0
        self._n_served: Counter[object] = Counter()
        self._lost: set[TrialNumber] = set()

    def _follow(self, history: History, era: int) -> None:
        """Take in the trials and facts that are new; all of them of another history or another set of kinds."""
        is_same = history is self._of and era == self._era
        if not is_same or self._n_seen > len(history) or self._n_facts > len(history.facts):
            self._forget()
            self._of, self._era, self._n_seen = history, era, era
        for number in range(self._n_seen, len(history)):
            self._n_served[history.notes[number].get(SERVES)] += 1
        for fact in history.facts[self._n_facts :]:
            is_lost = fact.state in _LOST
            if fact.trial >= era and is_lost != (fact.trial in self._lost):
                self._n_served[history.notes[fact.trial].get(SERVES)] += -1 if is_lost else 1
                (self._lost.add if is_lost else self._lost.discard)(fact.trial)
        self._n_seen, self._n_facts = len(history), len(history.facts)


@dataclass(slots=True)
class Shown:
    """A history as one kind's strategy sees it: the same trials and the same learned order, its own columns.

    Its measured quantities have their plain names, those of this machine are called after it where it is another kind.
    What first brings all that the kind measures of a trial is the trial's result; what was told of it before is none,
    so that a strategy takes a board's late values as it takes any result that comes late.
    """

    part: KindStrategy
    _mirror: Mirror = field(init=False)
    _names: dict[str, str] = field(default_factory=dict)
    _measured: tuple[str, ...] = ()
    _awaited: set[TrialNumber] = field(default_factory=set)  # completed, and not measured here yet

    def __post_init__(self) -> None:
        self._mirror = Mirror(self.part.objectives, self._seen, on_begin=self._awaited.clear)
        self._measured = tuple(each.name for each in self.part.objectives if each.device is not None)
        own = [value_name(name, self.part.kind) for name in OF_A_DEVICE]
        renamed = {name: shown_name(name, self.part.kind) for name in (*OF_A_DEVICE, *own)}
        self._names = {name: shown for name, shown in renamed.items() if name != shown}

    def after(self, history: History) -> History:
        """All of `history`; goes on where it is the one seen last."""
        return self._mirror.after(history)

    def _seen(self, fact: Fact) -> Fact:
        values = {self._names.get(name, name): value for name, value in fact.values.items()}
        beyond = violation(self.part.limits, fact.values)
        return replace(fact, kind=self._kind_of(fact, values), values=values, violation=fact.violation + beyond)

    def _kind_of(self, fact: Fact, values: Mapping[str, float]) -> str:
        if fact.state is State.COMPLETED and any(name not in values for name in self._measured):
            self._awaited.add(fact.trial)
            return "revision"
        if fact.trial in self._awaited:
            self._awaited.discard(fact.trial)
            return "result"
        return fact.kind


def shown_name(name: str, kind: DeviceKind) -> str:
    """What `kind`'s strategy calls a value that a trial has as `name`."""
    plain, _, of = name.partition("@")
    if of == kind:
        return plain
    return f"{name}@{LOCAL}" if kind != LOCAL and name in OF_A_DEVICE else name
