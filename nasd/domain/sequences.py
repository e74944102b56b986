"""The token view of a search space: an architecture as a sequence of decisions, each with the options legal by then.

What a policy that decides one thing after another sees. `nasd.domain.decisions` is the flat view of the same choices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nasd.domain.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Kind:
    """What is decided.

    Attributes:
        name: the gene's; stays the same for as long as the space's declaration does.
        n_options: a number's range counts as a few bins.
        n_places: how often it can occur: 1, or as often as its list is long at most.
    """

    name: str
    n_options: int
    n_places: int = 1


@dataclass(frozen=True, slots=True)
class Open:
    """A decision that is to be taken.

    Attributes:
        kind: an index into `Sequences.kinds`.
        place: the element of a list; 0 where there is one.
        weights: by option, how often the space itself would draw it, up to a factor; 0.0: it is illegal here.
    """

    kind: int
    place: int
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """A decision that was taken."""

    open: Open
    option: int


Choose = Callable[[Open], int]


class Sequences(Protocol):
    """The sequences of a space.

    Laws (tests/property/test_tokens.py):
        * whatever legal options `choose` takes, `walk` gives a member, or None where they lead to nothing;
        * every `Open` has a legal option;
        * `walked(walk(...))` are the tokens of that walk, unless the member's canonical form is another one's;
        * what may be decided depends on the decisions before it alone.
    """

    @property
    def kinds(self) -> tuple[Kind, ...]: ...

    def walk(self, choose: Choose, rng: np.random.Generator) -> Architecture | None:
        """One architecture, decided by `choose`; `rng` picks a number within a bin.

        None where no option is left, which is found out only then.
        """
        ...

    def walked(self, architecture: Architecture) -> tuple[Token, ...] | None:
        """The decisions that lead to a member; None where none do, because a bin that holds it counts as illegal."""
        ...


@runtime_checkable
class Sequential(Protocol):
    """What a search space may offer besides its own interface."""

    def sequences(self) -> Sequences: ...
