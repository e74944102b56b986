"""A parameter's options as a policy sees them: values, or a few bins of a range."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasd.domain.study import Scalar
from nasd.spaces.parametric.domains import Choice, Domain, IntRange

N_BINS = 8
_MOST_OPTIONS = 16  # whole numbers, each of which is an option of its own
_PROBES = (0.5, 0.25, 0.75, 0.05, 0.95)  # of a bin's width


class Bins:
    """The options of one domain: values, or bins of a range.

    Attributes:
        values: None where options are bins.
        probes: some values of each option.
        there: whether it has any: a narrow range's bin may hold no number of six digits.
        weights: the same as numbers.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        values = domain.values()
        is_short = values is not None and (isinstance(domain, Choice) or len(values) <= _MOST_OPTIONS)
        self.values: tuple[Scalar, ...] | None = tuple(values) if values is not None and is_short else None
        self.n = N_BINS if self.values is None else len(self.values)
        self._ranks = {(isinstance(value, bool), value): at for at, value in enumerate(self.values or ())}
        self.probes = tuple(self._probes(at) for at in range(self.n))
        self.there = tuple(bool(probes) for probes in self.probes)
        self.weights = tuple(float(there) for there in self.there)

    def of(self, value: Any) -> int | None:
        """The option that a value is, or lies in; None where the domain lacks it."""
        if self.values is not None:
            return self._ranks.get((isinstance(value, bool), value))
        legal = self._domain.legal(value)
        return None if legal is None else self._bin(legal)

    def draw(self, option: int, rng: np.random.Generator) -> Scalar:
        """A value in the option, evenly on its scale."""
        if self.values is not None:
            return self.values[option]
        value = self._at(option, rng.random())
        return value if self._bin(value) == option else self.probes[option][0]

    def _probes(self, option: int) -> tuple[Scalar, ...]:
        """Some values in it; none where it holds no number of six digits."""
        if self.values is not None:
            return (self.values[option],)
        found = [self._at(option, share) for share in _PROBES]
        return tuple(dict.fromkeys(value for value in found if self._bin(value) == option))

    def _at(self, option: int, share: float) -> Scalar:
        domain = self._domain
        if isinstance(domain, IntRange):
            first, end = -(-option * domain.n // self.n), -(-(option + 1) * domain.n // self.n)
            return domain.low + first + int(share * (end - first))
        return domain.at((option + share) / self.n)

    def _bin(self, value: Scalar) -> int:
        domain = self._domain
        if isinstance(domain, IntRange):
            return (int(value) - domain.low) * self.n // domain.n
        return min(int(domain.features(value, floor=0.0)[0] * self.n), self.n - 1)
