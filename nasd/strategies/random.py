"""Random search without replacement: the baseline that every other strategy has to beat."""

from __future__ import annotations

import numpy as np

from nasd.domain.history import History, Proposal
from nasd.domain.ids import LearnedSeq
from nasd.domain.space import SearchSpace
from nasd.strategies.fresh import unproposed


class RandomSearch:
    """Draws from the space's own distribution; never the same architecture twice; learns nothing."""

    name = "random"
    version = "random-2"

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:  # noqa: ARG002 - the rng is keyed by it
        """A fresh sample.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        return Proposal(architecture=unproposed(self._space, history, rng), operator="sample")

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """Nothing is worth keeping."""
        return None

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Nothing was kept."""
