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


class Encoder:
    """Rows of one layout. Features of options are computed once: a search encodes hundreds of candidates a proposal."""

    def __init__(self, layout: Layout) -> None:
        self._places: list[_Place] = []
        begin = 0
        for slot in layout.slots:
            most = 1 if slot.each is None else layout.longest[slot.each]
            self._places.append(_Place(slot, begin))
            begin += slot.domain.n_features * most
        self.n_features = begin

    def row(self, genes: Mapping[str, Any]) -> NDArray[np.float64]:
        """(n_features,) of canonical genes."""
        row = np.zeros(self.n_features)
        for place in self._places:
            slot, width, begin = place.slot, place.width, place.begin
            value = genes[slot.name]
            for at, item in enumerate((value,) if slot.each is None else value):
                if item is not None and (slot.otherwise is None or slot.exists(genes, at)):
                    features = place.features(item)
                    if width == 1:
                        row[begin + at] = features[0]
                    else:
                        row[begin + at * width : begin + (at + 1) * width] = features
        return row


class _Place:
    """Where a slot's features stand in a row, and those of the values met so far."""

    def __init__(self, slot: Slot, begin: int) -> None:
        self.slot, self.begin = slot, begin
        self.width = slot.domain.n_features
        self._floor = 0.0 if slot.active is None and slot.each is None else _FLOOR
        self._is_listed = slot.domain.values() is not None
        self._known: dict[tuple[bool, Any], list[float]] = {}  # True and 1 are equal keys, and different options

    def features(self, value: Any) -> list[float]:
        if not self._is_listed:
            return self.slot.domain.features(value, floor=self._floor)
        key = (value is True or value is False, value)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self.slot.domain.features(value, floor=self._floor)
        return found
