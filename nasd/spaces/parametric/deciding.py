"""A parametric space as a flat list of decisions (`nasd.domain.decisions`): one for each scalar and list element."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasd.domain.decisions import Choices, Decision, Options, Range
from nasd.domain.study import Scalar
from nasd.spaces.parametric.domains import Choice, Domain, IntRange
from nasd.spaces.parametric.draw import MISSING
from nasd.spaces.parametric.layout import Layout, Slot
from nasd.spaces.parametric.moves import present


def decisions_of(layout: Layout) -> tuple[Decision, ...]:
    """In drawing order, list by list; without what has one option."""
    found: list[Decision] = []
    for slot in layout.slots:
        if slot.domain.n > 1:
            domain, shortest = _flat(slot.domain), _shortest(layout, slot)
            found += [
                Decision(name, domain, is_optional=slot.active is not None or at >= shortest)
                for at, name in enumerate(_names(layout, slot))
            ]
    return tuple(found)


def decided(layout: Layout, genes: Mapping[str, Any]) -> dict[str, Scalar]:
    """What was decided of canonical genes."""
    values, found = present(layout, genes), {}
    for slot in layout.slots:
        if slot.domain.n > 1:
            value = values[slot.name]
            items = [value] if slot.each is None else value
            found.update({n: item for n, item in zip(_names(layout, slot), items, strict=False) if item is not MISSING})
    return found


def draft_of(layout: Layout, choices: Choices) -> dict[str, Any]:
    """What `draw.complete` takes: chosen values in their own types, lists as long as they can be, else MISSING."""
    draft: dict[str, Any] = {}
    for slot in layout.slots:
        items = [_legal(slot, choices.get(name)) for name in _names(layout, slot)]
        draft[slot.name] = items if slot.each is not None else items[0]
    return draft


def _legal(slot: Slot, value: Scalar | None) -> Any:
    legal = None if value is None else slot.domain.legal(value)
    return MISSING if legal is None else legal


def _names(layout: Layout, slot: Slot) -> list[str]:
    if slot.each is None:
        return [slot.name]
    return [f"{slot.name}[{at}]" for at in range(layout.longest[slot.each])]


def _shortest(layout: Layout, slot: Slot) -> int:
    """How many elements every architecture has; 1 for a scalar, which is not optional for that reason."""
    if slot.each is None:
        return 1
    count = layout.by_name[slot.each]
    if count.active is not None:
        return 0
    options = count.domain.options if isinstance(count.domain, Choice) else (count.domain.low,)
    return min(int(option) for option in options)


def _flat(domain: Domain) -> Options | Range:
    if isinstance(domain, Choice):
        return Options(domain.options, domain.ordered)
    if isinstance(domain, IntRange):
        return Range(domain.low, domain.high, is_whole=True)
    return Range(domain.low, domain.high, is_log=domain.log)
