"""The member of a space that is nearest to given genes: hand-made networks in a narrowed space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.seeding import seed_of
from nasd.domain.study import Role, Scalar
from nasd.spaces.parametric.domains import Choice, Domain
from nasd.spaces.parametric.draw import MISSING, complete
from nasd.spaces.parametric.layout import Layout, Slot
from nasd.spaces.parametric.space import ParametricSpace

_DRAWS = 64  # ways to mend what breaks a constraint, of which the nearest is taken


def nearest_members(
    space: ParametricSpace, wanted: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[str, Architecture], ...]:
    """The nearest member for each of `wanted`, (name, architecture), without doubles.

    Where several come to the same member, "medium" keeps it, else the first.
    """
    found = {name: nearest(space, genes) for name, genes in wanted.items()}
    owner: dict[str, str] = {}
    for name in sorted(found, key=lambda name: name != "medium"):
        owner.setdefault(found[name].key, name)
    return tuple((name, architecture) for name, architecture in found.items() if owner[architecture.key] == name)


def nearest(space: ParametricSpace, wanted: Mapping[str, Any]) -> Architecture:
    """The same at every call. Lists are stretched to the nearest legal count.

    A recipe's setting that `wanted` lacks is the middle of its range; another gene that it lacks is drawn.

    What breaks a constraint is drawn anew several times; the result with the fewest and smallest changes is taken.
    """
    layout = space.layout
    draft = _draft(layout, {**placed(space, 0.5, role=Role.RECIPE), **wanted})
    rng = np.random.Generator(np.random.PCG64(seed_of("nearest", space.name)))
    made = [genes for genes in (complete(layout, draft, rng) for _ in range(_DRAWS)) if genes is not None]
    made.sort(key=lambda genes: _distance(layout, genes, draft))
    members = (space.finished(genes) for genes in made)
    return next((member for member in members if member is not None), None) or space.sample(rng)


def placed(space: ParametricSpace, share: float, *, role: Role) -> dict[str, Any]:
    """Genes of `role`, each at `share` (0 to 1) of the way from first to last; the first of what has no order.

    Lists have one element, to be stretched.
    """
    genes: dict[str, Any] = {}
    for parameter in space.declaration.parameters:
        if parameter.role is role:
            domain = parameter.domain
            ordered = not isinstance(domain, Choice) or domain.ordered
            value = domain.at(share if ordered else 0.0)
            genes[parameter.name] = value if parameter.each is None else [value]
    return genes


def _draft(layout: Layout, wanted: Mapping[str, Any]) -> dict[str, Any]:
    draft: dict[str, Any] = {}
    for slot in layout.slots:
        value = wanted.get(slot.name)
        if slot.each is None:
            draft[slot.name] = _closest(slot.domain, value)
        else:
            n = 0 if draft[slot.each] is MISSING else draft[slot.each]
            draft[slot.name] = [_closest(slot.domain, item) for item in _stretched(value or (), n)]
    return draft


def _stretched(items: Sequence[Any], n: int) -> list[Any]:
    """`n` of `items`, each from the same relative depth."""
    return [items[(2 * at + 1) * len(items) // (2 * n)] for at in range(n)] if items else [None] * n


def _closest(domain: Domain, value: Scalar | None) -> Any:
    """The legal value next to `value`: by ratio among ordered options, the first of others; MISSING for None."""
    if value is None:
        return MISSING
    legal = domain.legal(value)
    if legal is not None:
        return legal
    if not isinstance(domain, Choice):
        return domain.legal(min(max(float(value), domain.low), domain.high))
    if not domain.ordered or not all(isinstance(each, int | float) for each in (*domain.options, value)):
        return domain.options[0]
    number = float(value)
    return min(domain.options, key=lambda option: _apart(float(option), number))


def _apart(one: float, other: float) -> float:
    return abs(log(one / other)) if min(one, other) > 0 else abs(one - other)


def _distance(layout: Layout, genes: Mapping[str, Any], draft: Mapping[str, Any]) -> float:
    total = 0.0
    for slot in layout.slots:
        if slot.each is None:
            total += _difference(slot, genes[slot.name], draft[slot.name])
        else:
            pairs = zip(genes[slot.name], draft[slot.name], strict=False)
            total += sum(_difference(slot, made, asked) for made, asked in pairs)
    return total


def _difference(slot: Slot, made: Any, asked: Any) -> float:
    """0 where nothing was asked or it was got; else 1, and for what has an order as much as it is away."""
    if asked is MISSING or made == asked:
        return 0.0
    if made is None or slot.domain.legal(made) is None:  # it does not exist; `otherwise` may be no option
        return 1.0
    pairs = zip(slot.domain.features(made, floor=0.0), slot.domain.features(asked, floor=0.0), strict=True)
    return max(abs(one - other) for one, other in pairs)
