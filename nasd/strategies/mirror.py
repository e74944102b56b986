"""Mirror: a history made from another one, fact by fact, for a strategy that is to see its study otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import TrialNumber
from nasd.domain.objective import Objective


class Mirror:
    """The same trials with the same numbers in the same learned order; other columns, values and violations."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        seen: Callable[[Fact], Fact],
        *,
        on_begin: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is shown yet.

        Args:
            objectives: the columns.
            seen: what becomes of a fact; called once for each, in learned order.
            on_begin: a history is shown from its first fact on: what `seen` remembers is of another one.
        """
        self._objectives, self._seen, self._on_begin = tuple(objectives), seen, on_begin
        self._history: History | None = None
        self._of: History | None = None  # which one `_history` was made from

    def after(self, history: History) -> History:
        """All of `history`; goes on where it is the one shown last."""
        shown = self._history
        if (
            shown is None
            or history is not self._of
            or len(shown) > len(history)
            or len(shown.facts) > len(history.facts)
        ):
            shown = self._history = History(self._objectives)
            self._of = history
            self._on_begin()
        for number in range(len(shown), len(history)):
            trial = TrialNumber(number)
            shown.add(Proposal(history.architectures[trial], history.operators[trial], history.parents[trial]))
        for fact in history.facts[len(shown.facts) :]:
            shown.learn(self._seen(fact))
        return shown
