"""How many members a space has: exactly where that can be counted, else a bound from above.

Counting multiplies what is independent and walks what is not: the scalars that conditions read, and one block of each
group. A constraint over whole lists, or equal networks under different genes, can't be counted so: such a space is
walked member by member where it is small, and bounded by the count without that constraint where it isn't.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from nasd.domain.architecture import canonical_json
from nasd.spaces.parametric.canonical import normal_form
from nasd.spaces.parametric.declare import Declaration, Genes
from nasd.spaces.parametric.layout import Check, Layout, Slot

MOST_WALKED = 200_000


class _TooMany(Exception):
    """More than is worth walking."""


@dataclass(frozen=True, slots=True)
class Size:
    """A number of members; at least the true one where it is not exact."""

    n: int
    is_exact: bool


def size_of(declaration: Declaration, layout: Layout) -> Size:
    """The number of distinct members."""
    if declaration.size is not None:
        return Size(declaration.size, is_exact=True)
    counted = _counted(layout)
    if declaration.normalise is not None:
        counted = Size(counted.n, is_exact=False)
    if counted.is_exact or counted.n > MOST_WALKED:
        return counted
    if declaration.normalise is None:
        return Size(sum(1 for _ in members(layout)), is_exact=True)
    forms = (normal_form(declaration, layout, _copy(genes)) for genes in members(layout))
    return Size(len({canonical_json(genes) for genes, broken in forms if not broken}), is_exact=True)


def members(layout: Layout) -> Iterator[Genes]:
    """Every legal set of genes, in order; the same dictionary each time, to be copied by who keeps it.

    Only for spaces without float ranges, and small ones.
    """
    return _scalars(layout.slots, {}, 0)


def _copy(genes: Genes) -> Genes:
    return {name: list(value) if isinstance(value, list) else value for name, value in genes.items()}


def _scalars(slots: tuple[Slot, ...], values: Genes, index: int) -> Iterator[Genes]:
    if index == len(slots):
        yield values
        return
    slot = slots[index]
    if slot.each is not None:
        values[slot.name] = []
        yield from _elements(slots, values, index, 0)
        return
    options = _options(slot) if slot.exists(values, 0) else (slot.otherwise,)
    for option in options:
        values[slot.name] = option
        if all(check.holds(values) for check in slot.local):
            yield from _scalars(slots, values, index + 1)


def _elements(slots: tuple[Slot, ...], values: Genes, index: int, at: int) -> Iterator[Genes]:
    slot = slots[index]
    assert slot.each is not None
    items = values[slot.name]
    if at == (values[slot.each] or 0):
        if all(check.holds(values) for check in slot.whole):
            yield from _scalars(slots, values, index + 1)
        return
    items.append(None)
    for option in _options(slot) if slot.exists(values, at) else (slot.otherwise,):
        del items[at + 1 :]
        items[at] = option
        if all(check.holds_at(values, at) for check in slot.local):
            yield from _elements(slots, values, index, at + 1)
    del items[at:]


def _options(slot: Slot) -> Any:
    options = slot.domain.values()
    if options is None:
        raise _TooMany
    return options


def _counted(layout: Layout) -> Size:
    try:
        return _Count(layout).total()
    except _TooMany:
        return Size(_product(layout), is_exact=False)


def _product(layout: Layout) -> int:
    """As if every parameter existed and no constraint did."""
    total = 1
    for slot in layout.slots:
        total *= int((slot.domain.n + (slot.active is not None)) ** (layout.longest[slot.each] if slot.each else 1))
    for count, slots in layout.groups.items():
        total *= layout.longest[count] + 1 if slots else 1
    return total


class _Count:
    """One counting; raises _TooMany after MOST_WALKED steps."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._steps = 0
        scalars = {slot.name for slot in layout.slots if slot.each is None}
        whens = [(slot, slot.active) for slot in layout.slots if slot.active is not None]
        read = {name for check in layout.checks for name in check.reads}
        read |= {name for _, check in whens for name in check.reads} | set(layout.groups)
        self._walked = [slot for slot in layout.slots if slot.each is None and slot.name in read]
        self._free = [slot for slot in layout.slots if slot.each is None and slot.name not in read]
        self._known = scalars
        self._by_block = {id(check) for check in layout.checks if self._is_of_blocks(check)}
        self._uncounted = {id(check) for check in layout.checks if not self._is_counted(check)}
        self._unclear = {slot.name for slot, check in whens if not self._is_clear(slot, check)}

    def _is_of_blocks(self, check: Check) -> bool:
        return check.each is not None and self._is_within(check, check.each)

    def _is_within(self, check: Check, each: str | None) -> bool:
        """Whether it reads only scalars and elements of lists of `each`."""
        of = {slot.name for slot in self._layout.groups.get(each or "", ())}
        return check.reads <= self._known | of and not check.whole & of

    def _is_counted(self, check: Check) -> bool:
        return check.reads <= self._known or self._is_of_blocks(check)

    def _is_clear(self, slot: Slot, check: Check) -> bool:
        return check.reads <= self._known or (slot.each is not None and self._is_within(check, slot.each))

    def total(self) -> Size:
        n = self._scalars({}, 0)
        return Size(n, is_exact=not self._uncounted and not self._unclear)

    def _scalars(self, values: Genes, index: int) -> int:
        if index == len(self._walked):
            return self._rest(values)
        slot = self._walked[index]
        total = 0
        for option in self._options(slot, values):
            values[slot.name] = option
            if self._holds(values, slot, [*slot.local]):
                total += self._scalars(values, index + 1)
        return total

    def _options(self, slot: Slot, values: Genes) -> Any:
        self._steps += 1
        if self._steps > MOST_WALKED:
            raise _TooMany
        if slot.name in self._unclear:
            return (*_options(slot), slot.otherwise)
        return _options(slot) if slot.exists(values, 0) else (slot.otherwise,)

    def _holds(self, values: Genes, slot: Slot, checks: list[Check]) -> bool:
        ready = (check for check in checks if check.reads <= self._known and id(check) not in self._uncounted)
        return all(check.holds(values) for check in ready) if slot.each is None else True

    def _rest(self, values: Genes) -> int:
        total = 1
        for slot in self._free:
            if slot.name in self._unclear:
                total *= slot.domain.n + 1
            else:
                total *= slot.domain.n if slot.exists(values, 0) else 1
        for count, slots in self._layout.groups.items():
            n = values[count] or 0
            if n:
                total *= int(self._blocks(slots, count, values) ** n)
            if not total:
                return 0
        return total

    def _blocks(self, slots: tuple[Slot, ...], count: str, values: Genes) -> int:
        """How many different blocks there are, given the scalars."""
        checks = [check for check in self._layout.checks if id(check) in self._by_block and check.each == count]
        read = {name for check in checks for name in check.reads}
        read |= {name for slot in slots if slot.active is not None for name in slot.active.reads}
        walked = [slot for slot in slots if slot.name in read]
        free = [slot for slot in slots if slot.name not in read]
        return self._block(walked, free, checks, dict(values), 0)

    def _block(self, walked: list[Slot], free: list[Slot], checks: list[Check], values: Genes, index: int) -> int:
        if index == len(walked):
            if not all(check.holds_at(values, 0) for check in checks):
                return 0
            total = 1
            for slot in free:
                if slot.name in self._unclear:
                    total *= slot.domain.n + 1
                else:
                    total *= slot.domain.n if slot.exists(values, 0) else 1
            return total
        slot = walked[index]
        total = 0
        for option in self._options(slot, values):
            values[slot.name] = [option]
            total += self._block(walked, free, checks, values, index + 1)
        return total
