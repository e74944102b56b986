"""TimedStrategy: a strategy whose proposals are timed, so that decisions need no clock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nasd.domain.history import History, Proposal, Wait
from nasd.domain.ids import LearnedSeq
from nasd.ports.clock import Clock
from nasd.strategies.base import SearchStrategy


class TimedStrategy:
    """Passes everything on; `spent_s` adds up the time in `propose`."""

    def __init__(self, strategy: SearchStrategy, clock: Clock, on_proposed: Callable[[float], None]) -> None:
        self._strategy, self._clock, self._on_proposed = strategy, clock, on_proposed
        self.spent_s = 0.0

    @property
    def name(self) -> str:
        return self._strategy.name

    @property
    def version(self) -> str:
        return self._strategy.version

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal | Wait:
        began = self._clock.monotonic()
        try:
            return self._strategy.propose(history, trial_number, rng)
        finally:
            took = self._clock.monotonic() - began
            self.spent_s += took
            self._on_proposed(took)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        return self._strategy.cache()

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        self._strategy.restore(learned_seq, state)
