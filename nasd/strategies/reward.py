"""The reward of a result under a preference: one policy, asked under different preferences, yields a front.

With `[strategy.reward]` it is the study file's own, R = accuracy - a * latency / l0 - b * memory / m0, in which the
preference scales each term, on average by 1. Without, each objective is put on a range of its own, from the best that
was seen to the middle of what was seen lately, on its logarithm where it spans decades; the reward is minus the mean
of the weighted sum and of the worst weighted term: the sum alone never rewards the hollows of a front, the worst term
alone says little about a first batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from nasd.domain.objective import Objective, Source
from nasd.domain.study import RewardTerm

Array = NDArray[np.float64]

_TINY = 1e-12
_MIDDLE = 0.5  # quantile of recent results: a worst value that spans decades would make all others alike
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)


class Reward:
    """Rewards of losses under preferences.

    Args:
        terms: by objective; empty: every objective on its range.
    """

    def __init__(self, objectives: Sequence[Objective], terms: Mapping[str, RewardTerm]) -> None:
        self._is_log = np.array([each.is_log and not terms for each in objectives], dtype=np.bool_)
        self._has_terms = bool(terms)
        self._scales = _scales(objectives, terms)
        self.settings: Mapping[str, object] = {
            "objectives": [each.name for each in objectives],
            "reward": {name: [term.weight, term.at] for name, term in sorted(terms.items())},
        }

    @property
    def n_preferences(self) -> int:
        return len(self._scales)

    def preferences(self, numbers: Sequence[int]) -> Array:
        """(n, m), rows sum to m: what each trial is asked for. A function of its number alone."""
        return np.array([_preference(number, self.n_preferences) for number in numbers]).reshape(-1, self.n_preferences)

    def of(self, losses: Array, preferences: Array, *, low: Array, recent: Array) -> Array:
        """(p, n) rewards of (n, m) finite losses under (p, m) preferences.

        Args:
            low: (m,) the best that was seen, `scaled`.
            recent: (r, m) losses that say what is usual; at least one.
        """
        found = self.scaled(losses)  # (n, m)
        if self._has_terms:
            rewards: Array = -(preferences[:, None, :] * found[None]).sum(axis=2)
            return rewards
        middle = np.quantile(self.scaled(recent), _MIDDLE, axis=0)
        weighted = preferences[:, None, :] * ((found - low) / np.maximum(middle - low, _TINY))[None]  # (p, n, m)
        both: Array = weighted.sum(axis=2) + weighted.max(axis=2)
        return both / -2

    def scaled(self, losses: Array) -> Array:
        """(n, m): losses on the scales on which they are added."""
        logs = np.log(np.maximum(losses, _TINY))
        return np.where(self._is_log, logs, losses) * self._scales


def main_of(objectives: Sequence[Objective], terms: Mapping[str, RewardTerm]) -> str | None:
    """The objective that enters as it is: the first that has no term, a trained or reported one if there is any."""
    rest = [each for each in objectives if each.name not in terms]
    quality = [each for each in rest if each.source in {Source.TRAINED, Source.REPORTED}]
    return next((each.name for each in (*quality, *rest)), None)


def _scales(objectives: Sequence[Objective], terms: Mapping[str, RewardTerm]) -> Array:
    """(m,) what one unit of a loss counts; 0.0: nothing."""
    if not terms:
        return np.ones(len(objectives))
    main = main_of(objectives, terms)
    return np.array(
        [
            terms[each.name].weight / terms[each.name].at if each.name in terms else float(each.name == main)
            for each in objectives
        ]
    )


def _preference(number: int, n: int) -> list[float]:
    """A point of the simplex times n, spread evenly over it as numbers go up.

    Halton's sequence through the inverse of the exponential distribution: normalised, uniform on the simplex.
    """
    if n == 1:
        return [1.0]
    drawn = [-log(1 - _radical_inverse(number + 1, _PRIMES[at % len(_PRIMES)])) for at in range(n)]
    total = sum(drawn)
    return [n * each / total for each in drawn]


def _radical_inverse(number: int, base: int) -> float:
    """`number`'s digits in `base` mirrored at the point: 0 to 1."""
    found, share = 0.0, 1.0
    while number:
        number, digit = divmod(number, base)
        share /= base
        found += digit * share
    return found
