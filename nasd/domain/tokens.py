"""How a transformer cuts a sample into tokens: what its module builds, its space counts and its options fit into."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nasd.domain.data import Problem


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of one sample.

    Attributes:
        n: how many.
        together: that attend to one another; a sample is n / together such pieces.
        numbers: in a token's patch; 0 where tokens come from a table.
    """

    n: int
    together: int
    numbers: int

    @classmethod
    def of(cls, problem: Problem, *, patch: int | None, context: int | None) -> Tokens:
        """Patches of `patch` positions a side (None: 1), in pieces of `context` positions (None: the sample is one)."""
        channels, sides = channels_and_sides(problem)
        size = patch or 1
        n = math.prod(side // size for side in sides)
        return cls(
            n=n,
            together=(context or 0) // size or n,
            numbers=0 if problem.vocabulary else channels * size ** len(sides),
        )


def channels_and_sides(problem: Problem) -> tuple[int, tuple[int, ...]]:
    """A table of features, or of tokens, is one channel of that length."""
    shape = problem.input_shape
    return (shape[0], shape[1:]) if len(shape) > 1 else (1, shape)
