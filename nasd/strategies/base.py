"""The one interface every strategy has."""

from typing import Protocol

import numpy as np

from nasd.domain.history import History, Proposal, Wait
from nasd.domain.ids import LearnedSeq


class SearchStrategy(Protocol):
    """Proposes architectures. Same history, number and generator: same proposal. Keeps no state a restart could lose.

    Laws (tests/contract/test_strategies.py):
        * a pure function of (history, trial number, generator); dropping the cache inside changes nothing;
        * never proposes an architecture the history holds, in flight or not;
        * lost (FAILED) results teach nothing; infeasible ones are ranked behind every feasible one;
        * never waits for a particular result;
        * raises SpaceExhausted when every architecture of the space has been proposed, and only then.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Changes whenever the same history would give another proposal."""
        ...

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal | Wait: ...

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """What `restore` takes, as JSON, and the fact it holds up to; None where there is nothing worth keeping."""
        ...

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over a cache that was made under the same version and settings."""
        ...
