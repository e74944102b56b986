"""Genes from outside: checked against a layout, one sentence for the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasd.spaces.parametric.declare import Declaration, Genes
from nasd.spaces.parametric.layout import Layout, Slot


def legal_genes(kind: str, layout: Layout, genes: Mapping[str, Any]) -> Genes:
    """`genes` with options in their own types, without what does not exist.

    A gene that does not exist may be left out or hold anything; a list may be longer than its count.

    Raises:
        ValueError: an unknown or missing gene, a value outside its domain, a broken constraint; names gene and value.
    """
    for name in genes:
        if name not in layout.by_name:
            known = ", ".join(layout.by_name)
            raise ValueError(f"{name} = {genes[name]}: the {kind} space has no such gene; its genes: {known}")
    values: Genes = {}
    for slot in layout.slots:
        values[slot.name] = _list(slot, genes, values) if slot.each is not None else _scalar(slot, genes, values)
    if sentence := broken(layout, values):
        raise ValueError(sentence)
    return values


def normal_form(declaration: Declaration, layout: Layout, genes: Genes) -> tuple[Genes, str]:
    """Legal genes in the form that equal networks share, and a sentence about the constraint that it breaks, if any.

    Constraints are judged on the form that is stored and shown: `blocks >= 5` leaves out five blocks that are no other
    network than four.
    """
    if declaration.normalise is None:
        return genes, ""
    genes = declaration.normalise(genes)
    return genes, broken(layout, genes)


def broken(layout: Layout, genes: Genes) -> str:
    """The first constraint that `genes` break, as a sentence; empty where all hold."""
    for check in layout.checks:
        if not check.holds(genes):
            shown = ", ".join(f"{name} = {_shown(genes[name])}" for name in genes if name in check.reads)
            return f"{shown}: breaks the constraint {check.says}"
    return ""


def _scalar(slot: Slot, genes: Mapping[str, Any], values: Genes) -> Any:
    if not slot.exists(values, 0):
        return slot.otherwise
    if slot.name not in genes:
        raise ValueError(f"{slot.name}: missing; {slot.domain}")
    return _option(slot, genes[slot.name], slot.name)


def _list(slot: Slot, genes: Mapping[str, Any], values: Genes) -> list[Any]:
    assert slot.each is not None
    n = values[slot.each] or 0
    given = genes.get(slot.name, ())
    if not isinstance(given, list | tuple):
        raise ValueError(f"{slot.name} = {given}: must be a list of {n}")  # noqa: TRY004 - the space's contract
    items: list[Any] = []
    values[slot.name] = items
    for at in range(n):
        items.append(None)
        if not slot.exists(values, at):
            items[at] = slot.otherwise
            continue
        if at >= len(given):
            shown = f"{slot.name} = {_shown(given)}" if slot.name in genes else f"{slot.name}: missing"
            raise ValueError(f"{shown}: {slot.each} = {n} needs {n} of them, not {len(given)}")
        items[at] = _option(slot, given[at], f"{slot.name}[{at}]")
    return items


def _option(slot: Slot, value: object, shown: str) -> Any:
    option = slot.domain.legal(value)
    if option is None:
        raise ValueError(f"{shown} = {value}: not in this space; {slot.domain}")
    return option


def _shown(value: object) -> str:
    return str(list(value)) if isinstance(value, list | tuple) else str(value)
