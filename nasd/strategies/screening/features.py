"""Architectures as rows for a model: the space's own encoding, how often each option occurs, costs known ahead.

Where a block stands matters less than what the network consists of, so counts of options over all places that share
them (the blocks of a network, the edges of a cell) tell a model after twenty trials what the places alone tell it after
a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np
from numpy.typing import NDArray

from nasd.domain.architecture import Architecture
from nasd.domain.seeding import seed_of
from nasd.strategies.base import Setting

_SAMPLES = 200  # drawn to learn which options there are
_MOST_OPTIONS = 16  # a gene with more is a scale: its values are hardly ever met twice
_PER = 8.0  # counts are of this order
_TINY = 1e-12
_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Group:
    """Places that choose among the same options.

    Attributes:
        genes: one gene with a value for each block, or several that have the same options.
    """

    genes: tuple[str, ...]
    options: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Features of n architectures.

    Attributes:
        places: (n, p) the space's encoding.
        options: (n, o) counts of options.
        costs: (n, c) the costs known ahead, in the order of `Features.known`: logarithms where all are positive.
    """

    places: NDArray[np.float64]
    options: NDArray[np.float64]
    costs: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.places)


class Features:
    """Rows of architectures, each computed once."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._rows: dict[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = {}

    @cached_property
    def known(self) -> tuple[str, ...]:
        """Names of the costs known ahead."""
        return tuple(self._setting.costs(self._samples[0]))

    def rows(self, architectures: Sequence[Architecture]) -> Rows:
        """The features of at least one architecture."""
        rows = [self._row(architecture) for architecture in architectures]
        places, options, costs = (np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))
        return Rows(places, options, costs)

    def _row(self, architecture: Architecture) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        row = self._rows.get(architecture.key)
        if row is None:
            if len(self._rows) >= _REMEMBERED:
                self._rows.clear()
            costs = self._setting.costs(architecture)
            scaled = [
                log(max(float(costs[name]), _TINY)) if is_log else float(costs[name])
                for name, is_log in zip(self.known, self._is_log, strict=True)
            ]
            row = (self._setting.space.encode(architecture), self._counts(architecture), np.array(scaled))
            self._rows[architecture.key] = row
        return row

    def _counts(self, architecture: Architecture) -> NDArray[np.float64]:
        genes = dict(architecture.genes)
        counts: list[float] = []
        for group in self._groups:
            values: list[object] = []
            for name in group.genes:
                value = genes.get(name)
                values.extend(value if isinstance(value, tuple) else (value,))
            counts.extend(values.count(option) / _PER for option in group.options)
        return np.array(counts, dtype=np.float64)

    @cached_property
    def _is_log(self) -> tuple[bool, ...]:
        costs = [self._setting.costs(architecture) for architecture in self._samples]
        return tuple(all(each[name] > 0 for each in costs) for name in self.known)

    @cached_property
    def _samples(self) -> list[Architecture]:
        rng = np.random.Generator(np.random.PCG64(seed_of("features", self._setting.space.name)))
        return [self._setting.space.sample(rng) for _ in range(_SAMPLES)]

    @cached_property
    def _groups(self) -> tuple[Group, ...]:
        seen: dict[str, dict[object, None]] = {}
        blockwise: dict[str, None] = {}
        for architecture in self._samples:
            for name, value in architecture.genes:
                if isinstance(value, tuple):
                    blockwise[name] = None
                options = seen.setdefault(name, {})
                options.update((item, None) for item in (value if isinstance(value, tuple) else (value,)))
        sets = {name: tuple(sorted(set(options) - {None}, key=str)) for name, options in seen.items()}
        sets = {name: options for name, options in sets.items() if 1 < len(options) <= _MOST_OPTIONS}
        alike: dict[tuple[object, ...], list[str]] = {}
        for name, choices in sets.items():
            if name not in blockwise:
                alike.setdefault(choices, []).append(name)
        groups = [Group((name,), sets[name]) for name in blockwise if name in sets]
        return (*groups, *(Group(tuple(names), options) for options, names in alike.items() if len(names) > 1))
