"""How one set of genes becomes another: mutation by meaning, crossover at equal relative depth.

What a move returns is a draft: lists of any length, MISSING where something is to be drawn. `draw.complete` makes it
legal. Every function is deterministic in `rng`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from nasd.domain.seeding import below, pick
from nasd.spaces.parametric.declare import Genes
from nasd.spaces.parametric.domains import Choice, IntRange
from nasd.spaces.parametric.draw import MISSING
from nasd.spaces.parametric.layout import Layout, Slot

_GENES_OF_BLOCKS = 3  # what changing a block's genes weighs at least, beside 1 for each of them


@dataclass(frozen=True, slots=True)
class Draft:
    """Genes after a move; `held` is the scalar that the move set."""

    genes: Genes
    held: str | None = None


Act = Callable[[Genes, np.random.Generator], Draft | None]


@dataclass(frozen=True, slots=True)
class Moves:
    """The moves of a space with their weights, summed up to each."""

    acts: tuple[Act, ...]
    sums: tuple[int, ...]

    def draw(self, genes: Genes, rng: np.random.Generator) -> Draft | None:
        """One move on present genes (`present`); None where it can't change them."""
        return self.acts[bisect_right(self.sums, below(self.sums[-1], rng))](genes, rng)


def moves_of(layout: Layout) -> Moves | None:
    """Every move that the declaration has room for; None: nothing can ever change.

    Growing weighs as much as shrinking; the genes of blocks, of which there are many, weigh most.
    """
    weighted: list[tuple[int, Act]] = []
    for count, slots in layout.groups.items():
        owner = layout.by_name[count]
        if owner.domain.n > 1:
            weighted += [(1, _growing(owner, slots, _fresh)), (1, _growing(owner, slots, _copied))]
            weighted.append((2, _shrinking(owner, slots)))
        weighted.append((1, _swapping(slots)))
        varying = tuple(slot for slot in slots if slot.domain.n > 1)
        if varying:
            weighted.append((_GENES_OF_BLOCKS + len(varying), _changing_block(varying)))
    for slot in layout.slots:
        if slot.each is None and slot.domain.n > 1 and slot.name not in layout.groups:
            weighted.append((1, _changing(slot)))
    acts = tuple(act for _, act in weighted)
    return Moves(acts, tuple(accumulate(weight for weight, _ in weighted))) if acts else None


def present(layout: Layout, genes: Mapping[str, Any]) -> Genes:
    """A copy with MISSING in place of what does not exist, so that it is drawn if it comes to exist."""
    values: Genes = {}
    for slot in layout.slots:
        value = genes[slot.name]
        if slot.each is None:
            gone = value is None or (slot.otherwise is not None and not slot.exists(genes, 0))
            values[slot.name] = MISSING if gone else value
        elif slot.otherwise is None:
            values[slot.name] = [MISSING if item is None else item for item in value]
        else:
            values[slot.name] = [
                item if item is not None and slot.exists(genes, at) else MISSING for at, item in enumerate(value)
            ]
    return values


def mixed(layout: Layout, mother: Genes, father: Genes, rng: np.random.Generator) -> Genes:
    """A draft: whole blocks of either parent at the same relative depth, as many as one of them has, scalars of either.

    Args:
        mother, father: present genes.
    """
    child: Genes = {}
    for slot in layout.slots:
        if slot.each is None:
            child[slot.name] = pick((mother, father), rng)[slot.name]
    for count, slots in layout.groups.items():
        n = 0 if child[count] is MISSING else child[count]
        lists: dict[str, list[Any]] = {slot.name: [] for slot in slots}
        for at in range(n):
            parent = pick((mother, father), rng)
            length = len(parent[slots[0].name])
            for slot in slots:
                genes = parent[slot.name]
                lists[slot.name].append(genes[(2 * at + 1) * length // (2 * n)] if length else MISSING)
        child.update(lists)
    return child


def _other_count(owner: Slot, value: Any, *, deeper: bool) -> int | None:
    """The next count up or down; None where there is none."""
    domain = owner.domain
    if isinstance(domain, IntRange):
        other = value + 1 if deeper else value - 1
        return other if domain.low <= other <= domain.high else None
    assert isinstance(domain, Choice)
    counts = [option for option in domain.options if isinstance(option, int)]
    if deeper:
        return min((option for option in counts if option > value), default=None)
    return max((option for option in counts if option < value), default=None)


def _fresh(items: list[Any], _at: int) -> Any:  # noqa: ARG001 - as `_copied`
    return MISSING


def _copied(items: list[Any], at: int) -> Any:
    return items[min(at, len(items) - 1)] if items else MISSING


def _growing(owner: Slot, slots: tuple[Slot, ...], new: Callable[[list[Any], int], Any]) -> Act:
    def grow(genes: Genes, rng: np.random.Generator) -> Draft | None:
        n = genes[owner.name]
        more = None if n is MISSING else _other_count(owner, n, deeper=True)
        if more is None:
            return None
        child = {**genes, owner.name: more, **{slot.name: list(genes[slot.name]) for slot in slots}}
        for length in range(n, more):
            at = below(length + 1, rng)
            for slot in slots:
                child[slot.name].insert(at, new(child[slot.name], at))
        return Draft(child, owner.name)

    return grow


def _shrinking(owner: Slot, slots: tuple[Slot, ...]) -> Act:
    def shrink(genes: Genes, rng: np.random.Generator) -> Draft | None:
        n = genes[owner.name]
        fewer = None if n is MISSING else _other_count(owner, n, deeper=False)
        if fewer is None:
            return None
        child = {**genes, owner.name: fewer, **{slot.name: list(genes[slot.name]) for slot in slots}}
        for length in range(n, fewer, -1):
            at = below(length, rng)
            for slot in slots:
                del child[slot.name][at]
        return Draft(child, owner.name)

    return shrink


def _swapping(slots: tuple[Slot, ...]) -> Act:
    def swap(genes: Genes, rng: np.random.Generator) -> Draft | None:
        n = len(genes[slots[0].name])
        if n < 2:
            return None
        one = below(n, rng)
        other = (one + 1 + below(n - 1, rng)) % n
        child = {**genes}
        for slot in slots:
            items = child[slot.name] = list(genes[slot.name])
            items[one], items[other] = items[other], items[one]
        return Draft(child)

    return swap


def _changing_block(slots: tuple[Slot, ...]) -> Act:
    def change(genes: Genes, rng: np.random.Generator) -> Draft | None:
        n = len(genes[slots[0].name])
        if n == 0:
            return None
        at = below(n, rng)
        there = [slot for slot in slots if genes[slot.name][at] is not MISSING]
        if not there:
            return None
        slot = pick(there, rng)
        items = list(genes[slot.name])
        items[at] = slot.domain.moved(items[at], rng)
        return Draft({**genes, slot.name: items})

    return change


def _changing(slot: Slot) -> Act:
    def change(genes: Genes, rng: np.random.Generator) -> Draft | None:
        value = genes[slot.name]
        return None if value is MISSING else Draft({**genes, slot.name: slot.domain.moved(value, rng)}, slot.name)

    return change
