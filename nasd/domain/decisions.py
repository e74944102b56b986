"""A space as a flat list of decisions: what models of numbers see of it, and the way back to an architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.study_search import Scalar

Choices = Mapping[str, Scalar]  # by decision


@dataclass(frozen=True, slots=True)
class Options:
    """One of `values`; `is_ordered`: they ascend in meaning."""

    values: tuple[Scalar, ...]
    is_ordered: bool


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both included; `is_log`: even on its logarithm."""

    low: float
    high: float
    is_whole: bool = False
    is_log: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """One scalar of an architecture, or one element of a list.

    Attributes:
        name: the gene's, or `gene[place]`.
        is_optional: some architectures don't have it.
    """

    name: str
    domain: Options | Range
    is_optional: bool = False


@runtime_checkable
class Decided(Protocol):
    """What a search space may offer besides its own interface.

    Laws (tests/unit/test_decisions.py):
        * `decisions` is the same at every call, names are unique, nothing has a single option;
        * `decide(decided(architecture), rng)` is that architecture, for every member;
        * `decide` gives a member whatever the choices, as long as each is of its decision's domain.
    """

    def decisions(self) -> tuple[Decision, ...]: ...

    def decided(self, architecture: Architecture) -> dict[str, Scalar]:
        """What was decided of a member; what does not exist in it is left out."""
        ...

    def decide(self, choices: Choices, rng: np.random.Generator) -> Architecture:
        """The member that has these choices, or one near it where they contradict each other.

        Choices of what does not exist are dropped; what exists and was not chosen is drawn.
        """
        ...
