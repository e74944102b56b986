"""What Optuna's samplers see of a study: parameters that are numbers, and trials with losses or a violation.

Options become their ranks, so that one option may be True and another 1. Where every trial must have every parameter
(Gaussian processes), what an architecture lacks has a rank of its own, and the middle of a continuous range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.decisions import Choices, Decided, Decision, Options
from nasd.domain.history import History
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective
from nasd.domain.scoring import on_scale
from nasd.domain.space import SearchSpace
from nasd.domain.study import Scalar
from nasd.strategies.members import Member, member_of
from nasd.strategies.optuna_seen import SeenSpace

Numbers = Mapping[str, float]  # by parameter; whole ones are ints


@dataclass(frozen=True, slots=True)
class Axis:
    """A parameter of Optuna's.

    Attributes:
        kind: `category` (0 to high), `whole` or `real`.
    """

    name: str
    kind: str
    low: float
    high: float
    is_log: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """A finished trial as a sampler sees it.

    Attributes:
        losses: each on its scale (`nasd.domain.scoring.on_scale`); None where an infeasible one has none.
        violation: 0.0 when feasible; inf where its size is unknown.
    """

    number: TrialNumber
    losses: tuple[float | None, ...]
    violation: float


class Axes:
    """Decisions as parameters, and back."""

    def __init__(self, decisions: Sequence[Decision], *, fixed: bool) -> None:
        self.decisions = tuple(decisions)
        self.axes = tuple(_axis(each, fixed=fixed) for each in decisions)
        self._fixed = fixed
        self._ranks = {
            each.name: {(isinstance(value, bool), value): rank for rank, value in enumerate(each.domain.values)}
            for each in decisions
            if isinstance(each.domain, Options)
        }

    def numbers(self, choices: Choices) -> dict[str, float]:
        """Choices as a sampler's parameters; those of no decision are left out."""
        found: dict[str, float] = {}
        for decision, axis in zip(self.decisions, self.axes, strict=True):
            value = choices.get(decision.name)
            if value is None:
                if self._fixed:
                    found[axis.name] = _absent(axis)
            elif axis.name in self._ranks:
                found[axis.name] = self._ranks[axis.name][isinstance(value, bool), value]
            else:
                found[axis.name] = min(max(float(value), axis.low), axis.high) if axis.kind == "real" else int(value)
        return found

    def choices(self, numbers: Numbers) -> dict[str, Scalar]:
        """A sampler's parameters as choices; what stands for absence is left out."""
        found: dict[str, Scalar] = {}
        for decision in self.decisions:
            number, domain = numbers.get(decision.name), decision.domain
            if number is None:
                continue
            if isinstance(domain, Options):
                if 0 <= number < len(domain.values):
                    found[decision.name] = domain.values[int(number)]
            elif domain.low <= number <= domain.high:
                found[decision.name] = int(number) if domain.is_whole else float(number)
        return found


def _axis(decision: Decision, *, fixed: bool) -> Axis:
    domain, room = decision.domain, fixed and decision.is_optional
    if isinstance(domain, Options):
        last = len(domain.values) - 1
        if domain.is_ordered:
            return Axis(decision.name, "whole", -1 if room else 0, last)
        return Axis(decision.name, "category", 0, last + room)
    if domain.is_whole:
        return Axis(decision.name, "whole", domain.low - room, domain.high)
    return Axis(decision.name, "real", domain.low, domain.high, domain.is_log)


def _absent(axis: Axis) -> float:
    if axis.kind == "real":
        return exp((log(axis.low) + log(axis.high)) / 2) if axis.is_log else (axis.low + axis.high) / 2
    return int(axis.high if axis.kind == "category" else axis.low)


class OptunaView:
    """A history in numbers, followed fact by fact; all of it is made anew where another history is shown.

    Attributes:
        fixed: every trial has every parameter.
    """

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective], *, fixed: bool = False) -> None:
        self._space, self._objectives, self._fixed = space, tuple(objectives), fixed
        self._history: History | None = None
        self._forget()

    def _forget(self) -> None:
        self._seen_space = None if isinstance(self._space, Decided) else SeenSpace(self._space)
        self._axes = Axes(self._decided.decisions(), fixed=self._fixed)
        self._numbers: list[dict[str, float]] = []
        self._members: dict[TrialNumber, Member] = {}
        self._n_facts = 0

    @property
    def _decided(self) -> Decided:
        if self._seen_space is not None:
            return self._seen_space
        assert isinstance(self._space, Decided)
        return self._space

    @property
    def axes(self) -> Axes:
        """Of what the history shown last has shown."""
        return self._axes

    def follow(self, history: History) -> None:
        """Take in what is new."""
        if history is not self._history or len(history) < len(self._numbers) or len(history.facts) < self._n_facts:
            self._forget()
        self._history = history
        self._take_in(history.architectures[len(self._numbers) :])
        for fact in history.facts[self._n_facts :]:
            member = None if fact.state is State.CANCELLED else member_of(fact, self._objectives)
            if member is None:
                self._members.pop(fact.trial, None)
            else:
                self._members[fact.trial] = member
        self._n_facts = len(history.facts)

    def _take_in(self, architectures: Sequence[Architecture]) -> None:
        n_before = len(self._numbers)
        if self._seen_space is not None:
            for each in architectures:
                self._seen_space.see(each)
            decisions = self._seen_space.decisions()
            if architectures and decisions != self._axes.decisions:
                self._axes, self._numbers = Axes(decisions, fixed=self._fixed), []
        assert self._history is not None
        for each in self._history.architectures[min(n_before, len(self._numbers)) :]:
            self._numbers.append(self._axes.numbers(self._decided.decided(each)))

    @property
    def n_finished(self) -> int:
        """Trials that taught something."""
        return len(self._members)

    def finished(self) -> list[Seen]:
        """Those, by number."""
        members = [self._members[number] for number in sorted(self._members)]
        if not members:
            return []
        losses = on_scale(np.array([each.losses for each in members], dtype=np.float64), self._objectives)
        rows = [tuple(loss if isfinite(loss) else None for loss in row) for row in losses.tolist()]
        return [Seen(each.number, row, each.violation) for each, row in zip(members, rows, strict=True)]

    def numbers_of(self, number: TrialNumber) -> dict[str, float]:
        """The parameters of a trial; for reading."""
        return self._numbers[number]

    def architecture_of(self, numbers: Numbers, rng: np.random.Generator) -> Architecture:
        """The member that a suggestion means."""
        return self._decided.decide(self._axes.choices(numbers), rng)
