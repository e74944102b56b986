"""Genes as features in [0, 1]: one length for a whole space, different rows for different genes.

An ordered or numeric gene is one feature, its place on its scale; an unordered one is one-hot. What does not exist
is 0; what may not exist begins above 0, so that the two can be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasd.spaces.parametric.layout import Layout, Slot

_FLOOR = 0.1  # where the scale of what may not exist begins


def n_features(layout: Layout) -> int:
    """The length of every row."""
    return sum(slot.domain.n_features * _most(layout, slot) for slot in layout.slots)


def encoded(layout: Layout, genes: Mapping[str, Any]) -> NDArray[np.float64]:
    """(n_features,) of canonical genes."""
    row = np.zeros(n_features(layout))
    begin = 0
    for slot in layout.slots:
        value, width, most = genes[slot.name], slot.domain.n_features, _most(layout, slot)
        floor = 0.0 if slot.active is None and slot.each is None else _FLOOR
        for at, item in enumerate((value,) if slot.each is None else value):
            if item is not None and (slot.otherwise is None or slot.exists(genes, at)):
                row[begin + at * width : begin + (at + 1) * width] = slot.domain.features(item, floor=floor)
        begin += width * most
    return row


def _most(layout: Layout, slot: Slot) -> int:
    return 1 if slot.each is None else layout.longest[slot.each]
