"""How one MLP becomes another: sampling, mutation by meaning, crossover at equal relative depth, nearest legal one.

Works on `Net`; `nasd.spaces.mlp` turns it into architectures and back. Every function is deterministic in `rng`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import TypeVar

import numpy as np

from nasd.domain.seeding import below, pick
from nasd.errors import SpaceExhausted

_T = TypeVar("_T")
_ONE_STEP = 0.8  # of the changes of an ordered choice go to a neighbour, the rest anywhere


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of a (narrowed) space; ordered ones ascend."""

    layers: tuple[int, ...]
    widths: tuple[int, ...]
    activations: tuple[str, ...]
    norms: tuple[str, ...]
    dropouts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Net:
    """One MLP; its depth is the number of widths."""

    widths: tuple[int, ...]
    activation: str
    norm: str
    dropout: float


def sample(choices: Choices, rng: np.random.Generator) -> Net:
    """Depth uniformly, then everything that exists at that depth uniformly."""
    depth = pick(choices.layers, rng)
    return Net(
        tuple(pick(choices.widths, rng) for _ in range(depth)),
        pick(choices.activations, rng),
        pick(choices.norms, rng),
        pick(choices.dropouts, rng),
    )


def mutate(choices: Choices, net: Net, rng: np.random.Generator) -> Net:
    """One move, drawn by weight among those that can change `net`.

    Raises:
        SpaceExhausted: no move can, so `net` is the space's only member.
    """
    moves, weights = _open_moves(choices, len(net.widths))
    if not moves:
        raise SpaceExhausted("the space has one member: nothing can be mutated")
    return moves[bisect_right(weights, below(weights[-1], rng))].act(choices, net, rng)


def crossover(mother: Net, father: Net, rng: np.random.Generator) -> Net:
    """As deep as one parent; each layer is the mother's or the father's at the same relative depth."""
    depth = len(pick((mother, father), rng).widths)
    parents = [pick((mother, father), rng) for _ in range(depth)]
    widths = (parent.widths[(2 * i + 1) * len(parent.widths) // (2 * depth)] for i, parent in enumerate(parents))
    return Net(
        tuple(widths),
        pick((mother, father), rng).activation,
        pick((mother, father), rng).norm,
        pick((mother, father), rng).dropout,
    )


def nearest(choices: Choices, net: Net) -> Net:
    """The legal network closest to `net`: depth and widths by ratio, dropout by difference, else the first option."""
    depth = _closest(choices.layers, len(net.widths))
    widths = (net.widths[(2 * i + 1) * len(net.widths) // (2 * depth)] for i in range(depth))
    return Net(
        tuple(_closest(choices.widths, width) for width in widths),
        net.activation if net.activation in choices.activations else choices.activations[0],
        net.norm if net.norm in choices.norms else choices.norms[0],
        min(choices.dropouts, key=lambda option: abs(option - net.dropout)),
    )


def _closest(options: Sequence[int], value: int) -> int:
    return min(options, key=lambda option: abs(math.log(option / value)))


def _other(options: Sequence[_T], value: _T, rng: np.random.Generator) -> _T:
    return pick([option for option in options if option != value], rng)


def _step(options: Sequence[_T], value: _T, rng: np.random.Generator) -> _T:
    """Another option of an ordered choice, mostly a neighbour."""
    if rng.random() >= _ONE_STEP:
        return _other(options, value, rng)
    rank = options.index(value)
    return pick([options[i] for i in (rank - 1, rank + 1) if 0 <= i < len(options)], rng)


def _deeper(choices: Choices, depth: int) -> int:
    """The next depth up; 0 where there is none."""
    return min((deeper for deeper in choices.layers if deeper > depth), default=0)


def _shallower(choices: Choices, depth: int) -> int:
    """The next depth down; 0 where there is none."""
    return max((shallower for shallower in choices.layers if shallower < depth), default=0)


def _insert(choices: Choices, net: Net, rng: np.random.Generator) -> Net:
    widths = list(net.widths)
    for _ in range(_deeper(choices, len(net.widths)) - len(widths)):
        widths.insert(below(len(widths) + 1, rng), pick(choices.widths, rng))
    return replace(net, widths=tuple(widths))


def _duplicate(choices: Choices, net: Net, rng: np.random.Generator) -> Net:
    widths = list(net.widths)
    for _ in range(_deeper(choices, len(net.widths)) - len(widths)):
        at = below(len(widths), rng)
        widths.insert(at, widths[at])
    return replace(net, widths=tuple(widths))


def _remove(choices: Choices, net: Net, rng: np.random.Generator) -> Net:
    widths = list(net.widths)
    for _ in range(len(widths) - _shallower(choices, len(net.widths))):
        del widths[below(len(widths), rng)]
    return replace(net, widths=tuple(widths))


def _resize(choices: Choices, net: Net, rng: np.random.Generator) -> Net:
    widths = list(net.widths)
    at = below(len(widths), rng)
    widths[at] = _step(choices.widths, widths[at], rng)
    return replace(net, widths=tuple(widths))


@dataclass(frozen=True, slots=True)
class _Move:
    weight: int
    applies: Callable[[Choices, int], bool]  # to a network of that depth
    act: Callable[[Choices, Net, np.random.Generator], Net]


# Growing weighs as much as shrinking; widths, of which there are many, weigh most.
_MOVES: tuple[_Move, ...] = (
    _Move(1, lambda c, depth: _deeper(c, depth) > 0, _insert),
    _Move(1, lambda c, depth: _deeper(c, depth) > 0, _duplicate),
    _Move(2, lambda c, depth: _shallower(c, depth) > 0, _remove),
    _Move(4, lambda c, _: len(c.widths) > 1, _resize),
    _Move(
        1,
        lambda c, _: len(c.activations) > 1,
        lambda c, net, rng: replace(net, activation=_other(c.activations, net.activation, rng)),
    ),
    _Move(1, lambda c, _: len(c.norms) > 1, lambda c, net, rng: replace(net, norm=_other(c.norms, net.norm, rng))),
    _Move(
        1,
        lambda c, _: len(c.dropouts) > 1,
        lambda c, net, rng: replace(net, dropout=_step(c.dropouts, net.dropout, rng)),
    ),
)


@lru_cache(maxsize=64)
def _open_moves(choices: Choices, depth: int) -> tuple[tuple[_Move, ...], tuple[int, ...]]:
    """The moves that can change a network of `depth` layers, and their weights summed up to each."""
    moves = tuple(move for move in _MOVES if move.applies(choices, depth))
    return moves, tuple(accumulate(move.weight for move in moves))
