"""A parametric space as other libraries see it: parameter by parameter, or as one flat vector of a fixed length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nasd.domain.architecture import Architecture
from nasd.domain.study import Scalar
from nasd.spaces.parametric import ParametricSpace
from nasd.spaces.parametric.domains import Domain
from nasd.spaces.parametric.layout import Slot

Genes = dict[str, Any]
Suggest = Callable[[str, Domain], Scalar]


def place(name: str, at: int) -> str:
    """The name of one element of a list."""
    return f"{name}[{at}]"


def flat_domains(space: ParametricSpace) -> dict[str, Domain]:
    """Every parameter that any member may have; lists at their longest."""
    domains: dict[str, Domain] = {}
    for slot in space.layout.slots:
        if slot.each is None:
            domains[slot.name] = slot.domain
        else:
            domains |= {place(slot.name, at): slot.domain for at in range(space.layout.longest[slot.each])}
    return domains


def decoded(space: ParametricSpace, suggest: Suggest) -> Architecture | None:
    """The architecture of one suggestion for every parameter that exists, in dependency order.

    Libraries know nothing of constraints over a whole list (a CNN may halve its map only so often), and a draft that
    breaks one could teach them nothing. It is repaired: from the last element backwards, the first option of each,
    until the constraint holds.

    Returns:
        None where it breaks a constraint of another kind.
    """
    genes: Genes = {}
    for slot in space.layout.slots:
        if slot.each is None:
            genes[slot.name] = suggest(slot.name, slot.domain) if slot.exists(genes, 0) else slot.otherwise
            continue
        items: list[Scalar | None] = []
        genes[slot.name] = items
        for at in range(genes[slot.each] or 0):
            there = slot.exists(genes, at)
            items.append(suggest(place(slot.name, at), slot.domain) if there else slot.otherwise)
        _repair(slot, genes)
    try:
        return space.canonical(genes)
    except ValueError:
        return None


def _repair(slot: Slot, genes: Genes) -> None:
    items = genes[slot.name]
    checks = (*slot.local, *slot.whole)
    for at in reversed(range(len(items))):
        if all(check.holds(genes) for check in checks):
            return
        if slot.exists(genes, at):
            items[at] = slot.domain.at(0.0)
