"""Candidates: children of the front, and children of the best of those, none of which the history holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nasd.domain.architecture import Architecture
from nasd.domain.history import History, Proposal
from nasd.domain.ids import TrialNumber
from nasd.domain.seeding import pick
from nasd.domain.space import SearchSpace

Array = NDArray[np.float64]

_MUTATIONS, _CROSSOVERS, _DOUBLE = 0.4, 0.75, 0.9  # upper ends of the shares; the rest is drawn at random
_BEST = 10  # candidates that are bred from in each round
_EACH = 4  # mutations of each


@dataclass(slots=True)
class Pool:
    """Fresh candidates that are allowed, by key, in the order in which they were made."""

    space: SearchSpace
    history: History
    is_allowed: Callable[[Architecture], bool]
    candidates: dict[str, Proposal] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.candidates)

    def breed(self, parents: Sequence[TrialNumber], n: int, rng: np.random.Generator) -> None:
        """Make `n` children of learned trials; what the pool doesn't take is left out."""
        for _ in range(n):
            self._add(self.child(parents, rng))

    def child(self, parents: Sequence[TrialNumber], rng: np.random.Generator) -> Proposal:
        """One child, which the history may hold."""
        mother, father, kind = pick(parents, rng), pick(parents, rng), rng.random()
        one, other = self.history.architectures[mother], self.history.architectures[father]
        if kind < _MUTATIONS or (kind < _CROSSOVERS and mother == father):
            return Proposal(self.space.mutate(one, rng), "mutation", (mother,))
        if kind < _CROSSOVERS:
            mixed, both = self.space.crossover(one, other, rng), (mother, father)
            if rng.random() < 0.5:
                return Proposal(self.space.mutate(mixed, rng), "crossover+mutation", both)
            return Proposal(mixed, "crossover", both)
        if kind < _DOUBLE:
            return Proposal(self.space.mutate(self.space.mutate(one, rng), rng), "mutation+mutation", (mother,))
        return Proposal(self.space.sample(rng), "sample")

    def refined(
        self, worth: Callable[[Sequence[Architecture]], Array], *, rounds: int, rng: np.random.Generator
    ) -> tuple[Proposal, float]:
        """The candidate that is worth most, after breeding from the best ones for some rounds; the pool isn't empty."""
        proposals = list(self.candidates.values())
        values = worth([each.architecture for each in proposals])
        for _ in range(rounds):
            best = [proposals[row] for row in np.argsort(-values, kind="stable")[:_BEST].tolist()]
            for one in best:
                for _ in range(_EACH):
                    self._add(_from(one, self.space.mutate(one.architecture, rng), "mutation"))
                other = pick(best, rng)
                mixed = self.space.crossover(one.architecture, other.architecture, rng)
                self._add(_from(one, mixed, "crossover", other.parents))
            new = list(self.candidates.values())[len(proposals) :]
            if new:
                proposals += new
                values = np.concatenate([values, worth([each.architecture for each in new])])
        at = int(values.argmax())
        return proposals[at], float(values[at])

    def takes(self, architecture: Architecture) -> bool:
        """Whether it is allowed, and neither the history nor the pool holds it."""
        key = architecture.key
        is_new = key not in self.candidates and self.history.number_of(key) is None
        return is_new and self.is_allowed(architecture)

    def _add(self, proposal: Proposal) -> None:
        if self.takes(proposal.architecture):
            self.candidates[proposal.architecture.key] = proposal


def _from(candidate: Proposal, architecture: Architecture, step: str, also: tuple[TrialNumber, ...] = ()) -> Proposal:
    """A child of a candidate: it has the candidate's learned parents, and those of its other parent."""
    parents = tuple(dict.fromkeys((*candidate.parents, *also)))
    operator = candidate.operator if candidate.operator.endswith(f"+{step}") else f"{candidate.operator}+{step}"
    return Proposal(architecture, operator if parents else "sample", parents)
