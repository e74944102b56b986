"""A parametric space as other libraries see it: parameter by parameter, or as one flat vector of a fixed length."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nasd.domain.architecture import Architecture
from nasd.domain.study import Scalar
from nasd.spaces.parametric import ParametricSpace
from nasd.spaces.parametric.domains import Domain

Genes = dict[str, Any]
Suggest = Callable[[str, Domain], Scalar]


def place(name: str, at: int) -> str:
    """The name of one element of a list."""
    return f"{name}[{at}]"


def conditional(space: ParametricSpace, suggest: Suggest) -> Genes:
    """Genes from one suggestion for every parameter that exists, in dependency order."""
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
    return genes


def flat_domains(space: ParametricSpace) -> dict[str, Domain]:
    """Every parameter that any member may have; lists at their longest."""
    domains: dict[str, Domain] = {}
    for slot in space.layout.slots:
        if slot.each is None:
            domains[slot.name] = slot.domain
        else:
            domains |= {place(slot.name, at): slot.domain for at in range(space.layout.longest[slot.each])}
    return domains


def from_flat(space: ParametricSpace, values: Mapping[str, Scalar]) -> Genes:
    """Genes from a value for each of `flat_domains`; what does not exist is not looked at."""
    genes: Genes = {}
    for slot in space.layout.slots:
        if slot.each is None:
            genes[slot.name] = values[slot.name]
        else:
            genes[slot.name] = [values[place(slot.name, at)] for at in range(space.layout.longest[slot.each])]
    return genes


def member(space: ParametricSpace, genes: Genes) -> Architecture | None:
    """The canonical architecture; None where the genes break a constraint of the space."""
    try:
        return space.canonical(genes)
    except ValueError:
        return None
