"""Following a history: a fold over its facts that is kept between proposals, and the cache of it.

Whatever is kept, the facts alone decide: a fold that is not of the history it is shown is thrown away and made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from nasd.domain.history import Fact, History
from nasd.domain.ids import LearnedSeq, TrialNumber


class Fold(Protocol):
    """What facts make, one after the other: the same facts make the same fold."""

    @property
    def numbers(self) -> tuple[TrialNumber, ...]:
        """Trials that it speaks of."""
        ...

    def learn(self, fact: Fact) -> None: ...

    def to_json(self) -> dict[str, object]:
        """What `load` takes; exact."""
        ...

    def load(self, state: Mapping[str, object]) -> None:
        """Become what `to_json` wrote; called on an empty fold.

        Raises:
            ValueError, TypeError, KeyError: it was not written by this version.
        """
        ...


F = TypeVar("F", bound=Fold)


class Follower(Generic[F]):
    """A fold and how far it has come.

    Args:
        empty: a fold of no facts.
        settings: all that the fold depends on besides facts, as JSON: a cache made under others is left aside.
    """

    def __init__(self, empty: Callable[[], F], settings: Mapping[str, object]) -> None:
        self._empty = empty
        self._settings = dict(settings)
        self._fold = empty()
        self._seq = 0  # facts consumed
        self._history: History | None = None  # whose facts they were

    def follow(self, history: History) -> F:
        """The fold of all facts of `history`: consumes the new ones, all where it isn't the history consumed so far."""
        restored = self._history is None and self._seq > 0
        extends = self._seq <= len(history.facts) and max(self._fold.numbers, default=-1) < len(history)
        if not (extends and (restored or history is self._history)):
            self._fold, self._seq = self._empty(), 0
        self._history = history
        for fact in history.facts[self._seq :]:
            self._fold.learn(fact)
        self._seq = len(history.facts)
        return self._fold

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The fold and the fact it holds up to; None where it holds nothing."""
        if self._seq == 0:
            return None
        return LearnedSeq(self._seq), {**self._labels(self._seq), **self._fold.to_json()}

    def restore(self, learned_seq: LearnedSeq, state: Mapping[str, object]) -> None:
        """Take over what `cache` gave; a cache of another version, other settings or another length is left aside."""
        self._fold, self._seq, self._history = self._empty(), 0, None
        if any(state.get(key) != value for key, value in self._labels(learned_seq).items()):
            return
        try:
            self._fold.load(state)
        except (KeyError, TypeError, ValueError):  # a damaged cache costs time, never a study
            self._fold = self._empty()
            return
        self._seq = int(learned_seq)

    def _labels(self, seq: int) -> dict[str, object]:
        return {**self._settings, "learned_seq": seq}
