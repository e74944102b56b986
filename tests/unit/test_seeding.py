"""Draws from a keyed generator: every option, evenly, never one past the end."""

from collections import Counter

import numpy as np
import pytest

from nasd.domain.seeding import below, pick


class Highest:
    """A generator that answers the largest number below 1."""

    def random(self) -> float:
        return np.nextafter(1.0, 0.0)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 1000, 2**31 - 1, 2**32 + 1, 2**52 + 1, 2**53])
def test_no_draw_reaches_n(n):
    """A product that rounded up to n would be an index past the end, once in 2**53 draws."""
    assert below(n, Highest()) == n - 1


def test_every_option_is_drawn_evenly():
    """A biased draw is a biased search space."""
    rng = np.random.default_rng(0)
    drawn = Counter(pick("abcde", rng) for _ in range(5000))

    assert set(drawn) == set("abcde")
    assert max(drawn.values()) - min(drawn.values()) < 200
