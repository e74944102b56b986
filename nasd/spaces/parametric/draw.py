"""Completing genes: what is missing is drawn, what ceased is dropped, what breaks a constraint is drawn again.

One walk in drawing order serves sampling (nothing is given), mutation (nearly all is) and crossover (a mixture is).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from nasd.domain.seeding import below, pick
from nasd.domain.study import Scalar
from nasd.spaces.parametric.declare import Genes
from nasd.spaces.parametric.layout import Check, Layout, Slot

MISSING: Any = type("Missing", (), {"__repr__": lambda _: "MISSING"})()
_Trial = Callable[[Scalar], Check | None]
_DRAWS = 32  # of a number whose options can't be listed
_WHOLE_DRAWS = 16  # of a list, each independent of the last: fair, where the constraint is mild
_MENDS = 64  # single elements drawn anew, where it isn't


def complete(
    layout: Layout,
    given: Mapping[str, Any],
    rng: np.random.Generator,
    *,
    held: str | None = None,
    blame: Counter[str] | None = None,
) -> Genes | None:
    """Genes that hold the constraints and keep of `given` what can be kept.

    Args:
        given: legal values; MISSING or absent, also within lists: to be drawn. Lists may have any length.
        held: a scalar that must not be drawn anew.
        blame: counts the constraints that left nothing to choose.

    Returns:
        None where a parameter has no option left: other draws may have.
    """
    values: Genes = {}
    for slot in layout.slots:
        value = given.get(slot.name, MISSING)
        if slot.each is None:
            broken = _scalar(slot, value, values, rng, may_draw=slot.name != held)
        else:
            broken = _list(slot, value, values, rng)
        if broken is not None:
            if blame is not None:
                blame[broken.says] += 1
            return None
    return values


def _scalar(slot: Slot, value: Any, values: Genes, rng: np.random.Generator, *, may_draw: bool) -> Check | None:
    """Put the value in place; the constraint that can't be met, if any."""
    if slot.active is not None and not slot.active.holds_at(values, 0):
        values[slot.name] = slot.otherwise
        return _broken(slot.local, values)
    if value is not MISSING:
        values[slot.name] = value
        broken = _broken(slot.local, values)
        if broken is None or not may_draw:
            return broken
    elif not slot.local and slot.weights is None:
        values[slot.name] = slot.domain.draw(rng)
        return None

    def holds(candidate: Scalar) -> Check | None:
        values[slot.name] = candidate
        return _broken(slot.local, values)

    return _chosen(slot, values, holds, rng)


def _list(slot: Slot, given: Any, values: Genes, rng: np.random.Generator) -> Check | None:
    assert slot.each is not None
    n = values[slot.each] or 0
    items = [] if given is MISSING else list(given[:n])
    is_fresh = all(item is MISSING for item in items)
    items += [MISSING] * (n - len(items))
    broken = _fill(slot, items, values, rng)
    if broken is not None:
        return broken
    broken = _broken(slot.whole, values)
    for _ in range(_WHOLE_DRAWS if broken is not None and is_fresh else 0):
        broken = _fill(slot, [MISSING] * n, values, rng) or _broken(slot.whole, values)
        if broken is None:
            return None
    for _ in range(_MENDS if broken is not None and n else 0):
        at = below(n, rng)
        if not slot.exists(values, at):
            continue
        broken = _element(slot, at, values, rng) or _broken(slot.whole, values)
        if broken is None:
            return None
    return broken


def _fill(slot: Slot, given: Sequence[Any], values: Genes, rng: np.random.Generator) -> Check | None:
    """Draw what is missing, position by position; `given` has one item for each."""
    items: list[Any] = []
    values[slot.name] = items
    active, local, domain = slot.active, slot.local, slot.domain
    is_free = not local and slot.weights is None
    for at, item in enumerate(given):
        items.append(item)
        if active is not None and not active.holds_at(values, at):
            items[at] = slot.otherwise
            broken = _broken_at(local, values, at)
        elif item is MISSING:
            if is_free:
                items[at] = domain.draw(rng)
                continue
            items.pop()
            items.append(None)
            broken = _element(slot, at, values, rng)
        else:
            broken = _broken_at(local, values, at) and _element(slot, at, values, rng)
        if broken is not None:
            return broken
    return None


def _element(slot: Slot, at: int, values: Genes, rng: np.random.Generator) -> Check | None:
    """Draw one element anew."""
    items = values[slot.name]

    def holds(candidate: Scalar) -> Check | None:
        items[at] = candidate
        return _broken_at(slot.local, values, at)

    return _chosen(slot, values, holds, rng, at=at)


def _chosen(
    slot: Slot, values: Genes, holds: _Trial, rng: np.random.Generator, *, at: int | None = None
) -> Check | None:
    """Draw among the candidates for which `holds(candidate)`, which puts them in place, names no broken constraint."""
    options = slot.domain.values()
    broken: Check | None = None
    if options is None:
        for _ in range(_DRAWS):
            broken = holds(slot.domain.draw(rng))
            if broken is None:
                return None
        return broken
    legal = []
    for option in options:
        found = holds(option)
        if found is None:
            legal.append(option)
        else:
            broken = found
    if not legal:
        return broken
    holds(_weighted(slot, values, legal, rng, at=at))
    return None


def _weighted(
    slot: Slot, values: Genes, options: Sequence[Scalar], rng: np.random.Generator, *, at: int | None
) -> Scalar:
    if slot.weights is None:
        return pick(options, rng)
    known = values if at is None else {**values, slot.name: values[slot.name][:at]}
    sums = list(accumulate(slot.weights(known, options)))
    if not sums[-1] > 0:
        return pick(options, rng)
    return options[min(bisect_right(sums, rng.random() * sums[-1]), len(options) - 1)]


def _broken(checks: Sequence[Check], values: Genes) -> Check | None:
    for check in checks:
        if not check.holds(values):
            return check
    return None


def _broken_at(checks: Sequence[Check], values: Genes, at: int) -> Check | None:
    for check in checks:
        if not check.holds_at(values, at):
            return check
    return None
