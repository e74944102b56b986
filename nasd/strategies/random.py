"""Random search without replacement: the baseline that every other strategy has to beat."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from nasd.domain.history import History, Proposal
from nasd.domain.ids import LearnedSeq
from nasd.domain.space import SearchSpace
from nasd.strategies.fresh import unproposed
from nasd.strategies.strata import Strata, strata_of


class RandomSearch:
    """Draws from the space's own distribution; never the same architecture twice; learns nothing.

    `stratified`: parameters are spread evenly on the logarithmic scale instead. Genes drawn evenly put nearly all
    networks in the middle of it and starve both ends of the front. A space that knows no parameters ahead is drawn from
    as without.
    """

    name = "random"

    def __init__(self, space: SearchSpace, *, stratified: bool = False) -> None:
        self._space = space
        self._is_stratified = stratified
        self.version = "random-2-stratified-1" if stratified else "random-2"

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:
        """A fresh sample.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        strata = self._strata if self._is_stratified else None
        proposal = None if strata is None else strata.propose(self._space, history, trial_number, rng)
        return proposal or Proposal(architecture=unproposed(self._space, history, rng), operator="sample")

    @cached_property
    def _strata(self) -> Strata | None:
        return strata_of(self._space)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """Nothing is worth keeping."""
        return None

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Nothing was kept."""
