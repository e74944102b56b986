"""What a parameter may be: one of some options, a whole number, or a number on a uniform or logarithmic scale.

Values are canonical: an option has its own type, a float has six significant digits, so that equal networks have equal
keys. Every function is deterministic in `rng`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from nasd.domain.seeding import below, pick
from nasd.domain.study import Scalar

ONE_STEP = 0.8  # of the changes of an ordered option go to a neighbour, the rest anywhere
_SPREAD = 0.1  # of a range: standard deviation of a number's step
_DIGITS = 6
_ENUMERABLE = 4096
_LARGEST = sys.float_info.max  # whole numbers go on beyond it


def rounded(value: float) -> float:
    """`value` with six significant digits: its canonical form, in which 0.0 has no sign."""
    return float(f"{value:.{_DIGITS - 1}e}") + 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `options`; `ordered`: they ascend in meaning.

    Raises:
        ValueError: no option, or one twice.
    """

    options: tuple[Scalar, ...]
    ordered: bool
    _ranks: dict[tuple[bool, Scalar], int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ranks = {(isinstance(option, bool), option): rank for rank, option in enumerate(self.options)}
        if not ranks:
            raise ValueError("has no options. Name at least one")
        if len(ranks) < len(self.options):
            raise ValueError("names an option twice. Name each once")
        object.__setattr__(self, "_ranks", ranks)

    @property
    def n(self) -> int:
        return len(self.options)

    @property
    def n_features(self) -> int:
        return 1 if self.ordered else len(self.options)

    def values(self) -> Sequence[Scalar]:
        return self.options

    def draw(self, rng: np.random.Generator) -> Scalar:
        return self.options[int(rng.random() * len(self.options))]

    def moved(self, value: Scalar, rng: np.random.Generator) -> Scalar:
        """Another option; of ordered ones mostly a neighbour."""
        rank, n = self.rank(value), len(self.options)
        if self.ordered and rng.random() < ONE_STEP:
            return self.options[pick([at for at in (rank - 1, rank + 1) if 0 <= at < n], rng)]
        other = below(n - 1, rng)
        return self.options[other + (other >= rank)]

    def rank(self, value: Scalar) -> int:
        return self._ranks[isinstance(value, bool), value]

    def legal(self, value: object) -> Scalar | None:
        """The option equal to `value`, in its own type (0 becomes 0.0); None where there is none."""
        if not isinstance(value, bool | int | float | str):
            return None
        rank = self._ranks.get((isinstance(value, bool), value))
        return None if rank is None else self.options[rank]

    def features(self, value: Scalar, *, floor: float) -> list[float]:
        rank = self.rank(value)
        if self.ordered:
            return [_between(rank, len(self.options) - 1, floor)]
        return [float(at == rank) for at in range(len(self.options))]

    def at(self, share: float) -> Scalar:
        """The option at `share` (0 to 1) of the way from the first to the last."""
        return self.options[round(share * (len(self.options) - 1))]

    def __str__(self) -> str:
        return f"options: {', '.join(str(option) for option in self.options)}"


@dataclass(frozen=True, slots=True)
class IntRange:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"begins at {self.low}, above its end {self.high}. Write the smaller number first")

    @property
    def n(self) -> int:
        return self.high - self.low + 1

    @property
    def n_features(self) -> int:
        return 1

    def values(self) -> Sequence[Scalar] | None:
        return range(self.low, self.high + 1) if self.n <= _ENUMERABLE else None

    def draw(self, rng: np.random.Generator) -> Scalar:
        return self.low + below(self.n, rng)

    def moved(self, value: Scalar, rng: np.random.Generator) -> Scalar:
        """A step of one in a short range, of about a tenth of a long one."""
        assert isinstance(value, int)
        step = max(1, round(abs(rng.normal(0.0, _SPREAD * (self.high - self.low)))))
        ends = [end for end in (max(self.low, value - step), min(self.high, value + step)) if end != value]
        return pick(ends, rng)

    def legal(self, value: object) -> Scalar | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            return None
        return int(value) if self.low <= value <= self.high else None

    def features(self, value: Scalar, *, floor: float) -> list[float]:
        assert isinstance(value, int)
        return [_between(value - self.low, self.high - self.low, floor)]

    def at(self, share: float) -> Scalar:
        return self.low + round(share * (self.high - self.low))

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class FloatRange:
    """A number from `low` to `high`, uniform on its scale; the ends are rounded like every value."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"begins at {self.low}, above its end {self.high}. Write the smaller number first")
        if self.log and self.low <= 0:
            raise ValueError(f"begins at {self.low}; a logarithmic range is above 0. Raise it, or use float")
        object.__setattr__(self, "low", rounded(self.low))
        object.__setattr__(self, "high", rounded(self.high))

    @property
    def n(self) -> int:
        """How many numbers of six digits there are."""
        return _place(self.high) - _place(self.low) + 1

    @property
    def n_features(self) -> int:
        return 1

    def values(self) -> Sequence[Scalar] | None:
        return (self.low,) if self.low == self.high else None

    def draw(self, rng: np.random.Generator) -> Scalar:
        return self._on_scale(rng.random())

    def moved(self, value: Scalar, rng: np.random.Generator) -> Scalar:
        """A Gaussian step of a tenth of the range, reflected at its ends."""
        share = self._share(float(value)) + float(rng.normal(0.0, _SPREAD))
        share = abs(share) % 2
        return self._on_scale(2 - share if share > 1 else share)

    def legal(self, value: object) -> Scalar | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
            return None
        return rounded(value) if self.low <= rounded(value) <= self.high else None

    def features(self, value: Scalar, *, floor: float) -> list[float]:
        return [floor + (1 - floor) * self._share(float(value))]

    def at(self, share: float) -> Scalar:
        return self._on_scale(share)

    def _on_scale(self, share: float) -> float:
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + share * (high - low))
        else:
            value = self.low + share * (self.high - self.low)
        return min(self.high, max(self.low, rounded(value)))

    def _share(self, value: float) -> float:
        if self.low == self.high:
            return 1.0
        if self.log:
            share = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share))

    def __str__(self) -> str:
        return f"a number from {self.low} to {self.high}"


Domain = Choice | IntRange | FloatRange


def _between(place: int, last: int, floor: float) -> float:
    return floor + (1 - floor) * (place / last if last else 1.0)


def _place(value: float) -> int:
    """Where `value` stands among all numbers of six significant digits, 0 at 0."""
    if value == 0:
        return 0
    digits, exponent = f"{abs(value):.{_DIGITS - 1}e}".split("e")
    mantissa = int(digits.replace(".", ""))
    tens: int = 10 ** (_DIGITS - 1)
    place = (int(exponent) + 308) * 9 * tens + mantissa - tens + 1
    return place if value > 0 else -place
