"""History: what a strategy may see, append-only and columnar, in learned order.

Everything a strategy proposes is a function of this, so that rows alone bring it back after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nasd.domain.architecture import Architecture
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a strategy answers.

    Attributes:
        parents: trial numbers it was bred from.
        operator: `baseline`, `sample`, `mutation`, `crossover+mutation`, ...; more of the strategy's own in `notes`.
    """

    architecture: Architecture
    operator: str
    parents: tuple[TrialNumber, ...] = ()
    notes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """A strategy's answer that it can propose nothing until it has learned more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing learned, with the values as they were then.

    Attributes:
        kind: `result` (a trial became final) or `revision` (a value of a final trial changed).
        values: objective name -> value; absent where unknown.
        violation: summed relative overshoot of hard limits, or the candidate's own; 0.0 when feasible.
    """

    seq: LearnedSeq
    kind: str
    trial: TrialNumber
    state: State
    values: Mapping[str, float]
    violation: float = 0.0


class History:
    """Trials in number order and facts in learned order.

    Rows are trial numbers. `losses` is (n, m): sign * value, NaN where unknown or not yet learned. A trial is in flight
    from `add` until its first fact. FAILED trials teach nothing about their architecture: their losses stay NaN.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = tuple(objectives)
        self.architectures: list[Architecture] = []
        self.operators: list[str] = []
        self.parents: list[tuple[TrialNumber, ...]] = []
        self.notes: list[Mapping[str, object]] = []
        self.facts: list[Fact] = []
        self._states: list[State | None] = []  # None: in flight
        self._losses = np.full((64, len(self.objectives)), np.nan)
        self._violations = np.zeros(64)
        self._keys: dict[str, TrialNumber] = {}
        self._in_flight: dict[TrialNumber, None] = {}  # a dict keeps number order

    def __len__(self) -> int:
        """How many trials were proposed."""
        return len(self.architectures)

    @property
    def learned_seq(self) -> LearnedSeq:
        """Of the newest fact; 0 before the first."""
        return self.facts[-1].seq if self.facts else LearnedSeq(0)

    @property
    def losses(self) -> NDArray[np.float64]:
        """(n, m), a read-only view."""
        view = self._losses[: len(self)]
        view.flags.writeable = False
        return view

    @property
    def violations(self) -> NDArray[np.float64]:
        """(n,), 0.0 where feasible or unknown; a read-only view."""
        view = self._violations[: len(self)]
        view.flags.writeable = False
        return view

    @property
    def in_flight(self) -> tuple[TrialNumber, ...]:
        """Numbers of trials without a fact, ascending."""
        return tuple(self._in_flight)

    @property
    def n_in_flight(self) -> int:
        return len(self._in_flight)

    def state(self, number: TrialNumber) -> State | None:
        """The final state as learned; None while in flight."""
        return self._states[number]

    def number_of(self, key: str) -> TrialNumber | None:
        """The trial that has this architecture, in flight or not."""
        return self._keys.get(key)

    def add(self, proposal: Proposal) -> TrialNumber:
        """Append a trial; it is in flight now."""
        number = TrialNumber(len(self.architectures))
        if number == len(self._losses):
            self._grow()
        self.architectures.append(proposal.architecture)
        self.operators.append(proposal.operator)
        self.parents.append(proposal.parents)
        self.notes.append(proposal.notes)
        self._states.append(None)
        self._keys.setdefault(proposal.architecture.key, number)
        self._in_flight[number] = None
        return number

    def learn(self, fact: Fact) -> None:
        """Take in the next fact.

        Raises:
            ValueError: its seq is not the next one, or it names a trial that does not exist.
        """
        if fact.seq != self.learned_seq + 1:
            raise ValueError(f"fact {fact.seq} can't follow {self.learned_seq}: the learned order has no gaps")
        if not 0 <= fact.trial < len(self):
            raise ValueError(f"fact {fact.seq} names trial {fact.trial}; there are {len(self)}")
        self.facts.append(fact)
        self._in_flight.pop(fact.trial, None)
        self._states[fact.trial] = fact.state
        self._violations[fact.trial] = fact.violation
        # what a lost trial left behind (its counts, a stage that did finish) says nothing that may be ranked
        values = {} if fact.state in {State.FAILED, State.CANCELLED} else fact.values
        self._losses[fact.trial] = [
            objective.sign * values.get(objective.name, np.nan) for objective in self.objectives
        ]

    def _grow(self) -> None:
        self._losses = np.vstack([self._losses, np.full_like(self._losses, np.nan)])
        self._violations = np.concatenate([self._violations, np.zeros_like(self._violations)])
