"""One figure instead of a front: the weighted sum that a scalarised study is searched by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log

_LEAST = 1e-12  # times `at`: what lies below has this logarithm, and 0 has one too


@dataclass(frozen=True, slots=True)
class Term:
    """What one quantity adds to the figure.

    Attributes:
        of: the quantity's name among a trial's values.
        weight: of what is maximised; negative for what is minimised.
        at: the logarithm of value / at is weighed; None: the value itself.
        constant: added once, such as the 1 of accuracy = 1 - error.
    """

    of: str
    weight: float
    at: float | None = None
    constant: float = 0.0

    def value(self, value: float) -> float:
        """The term where the quantity is `value`."""
        measure = value if self.at is None else log(max(value / self.at, _LEAST))
        return self.constant + self.weight * measure


def scalar_of(terms: Sequence[Term], values: Mapping[str, float]) -> float | None:
    """The figure, greater is better; None where a quantity is unknown or not finite.

    The sum is taken in the order of `terms`, to the last bit.
    """
    total = 0.0
    for term in terms:
        value = values.get(term.of)
        if value is None or not isfinite(value):
            return None
        total += term.value(value)
    return total
