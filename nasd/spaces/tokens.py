"""Tokens of a parametric space (`nasd.domain.sequences`): slots in drawing order, illegal options masked.

Masked is what breaks a constraint that is known by then: of a scalar and of one element of a list all that read nothing
drawn later, at the last element those that read the whole list, and one step ahead what would leave a later scalar
without an option. A constraint that reads two lists, or a scalar further on, may still end a walk: `walk` gives None
then. A policy that draws again until a walk ends well has for every member the probability that the masks give it,
divided by its share of walks that end well; what uses ratios of probabilities neglects how that share changes.

A number's range is cut into a few bins, even on its scale; within a bin numbers are drawn evenly, which no policy
influences, so that it cancels in every ratio. A bin is legal where one of five numbers in it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.sequences import Choose, Kind, Open, Sequences, Token
from nasd.domain.study import Scalar
from nasd.spaces.parametric.bins import Bins
from nasd.spaces.parametric.layout import Check, Layout, Slot

Values = dict[str, Any]

_DRAWS = 16  # within a bin, before a probe is taken
_RARE = 1e-3  # of the average weight: what the space itself would hardly ever draw


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A later scalar that needs an option: those of its constraints that can be judged before it is drawn."""

    slot: Slot
    checks: tuple[Check, ...]

    def is_possible(self, values: Values, options: Sequence[Scalar]) -> bool:
        if not self.slot.exists(values, 0):
            options = (self.slot.otherwise,)  # type: ignore[assignment]
        trial = dict(values)
        for option in options:
            trial[self.slot.name] = option
            if all(check.holds(trial) for check in self.checks):
                return True
        return False


_Take = Callable[[Open, Bins, Callable[[Scalar], bool], str, int], tuple[int, Scalar] | None]


class ParametricSequences:
    """`nasd.domain.sequences.Sequences` of a layout.

    Args:
        finished: the member of legal genes; None where its canonical form breaks a constraint.
    """

    def __init__(self, layout: Layout, finished: Callable[[Values], Architecture | None]) -> None:
        self._layout, self._finished = layout, finished
        self._bins = {slot.name: Bins(slot.domain) for slot in layout.slots}
        self._number: dict[str, int] = {}
        kinds: list[Kind] = []
        for slot in layout.slots:
            if slot.domain.n > 1:
                n_places = 1 if slot.each is None else layout.longest[slot.each]
                self._number[slot.name] = len(kinds)
                kinds.append(Kind(slot.name, self._bins[slot.name].n, max(n_places, 1)))
        self.kinds = tuple(kinds)
        self._ahead = {slot.name: tuple(self._looks_at(at)) for at, slot in enumerate(layout.slots)}

    def walk(self, choose: Choose, rng: np.random.Generator) -> Architecture | None:
        """See `Sequences.walk`."""

        def take(decision: Open, bins: Bins, holds: Callable[[Scalar], bool], _name: str, _at: int) -> tuple[int, Any]:
            option = choose(decision)
            if not decision.weights[option] > 0:
                raise ValueError(f"{self.kinds[decision.kind].name}: option {option} is masked")
            return option, _drawn(bins, option, holds, rng)

        genes = self._run(take)
        return None if genes is None else self._finished(genes)

    def walked(self, architecture: Architecture) -> tuple[Token, ...] | None:
        """See `Sequences.walked`."""
        genes = architecture.as_dict()
        tokens: list[Token] = []

        def take(
            decision: Open, bins: Bins, _holds: Callable[[Scalar], bool], name: str, at: int
        ) -> tuple[int, Any] | None:
            gene: Any = genes[name]
            value = gene[at] if isinstance(gene, tuple) else gene
            option = bins.of(value)
            if option is None or not decision.weights[option] > 0:
                return None
            tokens.append(Token(decision, option))
            return option, value

        return None if self._run(take) is None else tuple(tokens)

    def _run(self, take: _Take) -> Values | None:
        """Genes slot by slot; None where a decision has no option left or `take` gives None."""
        values: Values = {}
        for slot in self._layout.slots:
            if not (self._scalar(slot, values, take) if slot.each is None else self._list(slot, values, take)):
                return None
        return values

    def _scalar(self, slot: Slot, values: Values, take: _Take) -> bool:
        name, ahead = slot.name, self._ahead[slot.name]
        if not slot.exists(values, 0):
            values[name] = slot.otherwise
            return _hold(slot.local, values)

        def holds(candidate: Scalar) -> bool:
            values[name] = candidate
            return _hold(slot.local, values) and all(
                each.is_possible(values, self._bins[each.slot.name].values or ()) for each in ahead
            )

        return self._decided(slot, 0, values, holds if slot.local or ahead else None, take)

    def _list(self, slot: Slot, values: Values, take: _Take) -> bool:
        assert slot.each is not None
        n = values[slot.each] or 0
        items: list[Any] = []
        values[slot.name] = items
        for at in range(n):
            items.append(None)
            if not slot.exists(values, at):
                items[at] = slot.otherwise
                if not all(check.holds_at(values, at) for check in slot.local):
                    return False
                continue
            last = slot.whole if at == n - 1 else ()

            def holds(candidate: Scalar, at: int = at, last: Sequence[Check] = last) -> bool:
                items[at] = candidate
                return all(check.holds_at(values, at) for check in slot.local) and _hold(last, values)

            if not self._decided(slot, at, values, holds if slot.local or last else None, take):
                return False
        return _hold(slot.whole, values)

    def _decided(
        self, slot: Slot, at: int, values: Values, holds: Callable[[Scalar], bool] | None, take: _Take
    ) -> bool:
        """Take one decision and put its value in place; False where none can be taken."""
        bins = self._bins[slot.name]
        legal = bins.there if holds is None else tuple([any(map(holds, probes)) for probes in bins.probes])
        if not any(legal):
            return False
        value: Any = bins.probes[0][0]
        if slot.domain.n > 1:
            weights = _weights(slot, bins, legal, values, at)
            taken = take(Open(self._number[slot.name], at, weights), bins, holds or _anything, slot.name, at)
            if taken is None:
                return False
            value = taken[1]
        if slot.each is None:
            values[slot.name] = value
        else:
            values[slot.name][at] = value
        return True

    def _looks_at(self, at: int) -> list[_Ahead]:
        """Later scalars whose last unknown the scalar at `at` is."""
        slots = self._layout.slots
        slot = slots[at]
        if slot.each is not None:
            return []
        known = {each.name for each in slots[: at + 1]}
        found = []
        for later in slots[at + 1 :]:
            if later.each is not None or self._bins[later.name].values is None:
                continue
            if later.active is not None and not later.active.reads <= known:
                continue
            reads = later.active.reads if later.active is not None else frozenset[str]()
            checks = tuple(
                check
                for check in later.local
                if check.reads - {later.name} <= known and slot.name in check.reads | reads
            )
            if checks:
                found.append(_Ahead(later, checks))
        return found


class JoinedSequences:
    """Sequences of one space and then of another, as of networks and recipes.

    Args:
        joined: a member from its two parts.
        parts: the reverse.
    """

    def __init__(
        self,
        first: Sequences,
        second: Sequences,
        *,
        joined: Callable[[Architecture, Architecture], Architecture],
        parts: Callable[[Architecture], tuple[Architecture, Architecture]],
    ) -> None:
        self._first, self._second, self._joined, self._parts = first, second, joined, parts
        self.kinds = (*first.kinds, *second.kinds)

    def walk(self, choose: Choose, rng: np.random.Generator) -> Architecture | None:
        """See `Sequences.walk`."""
        shift = len(self._first.kinds)
        one = self._first.walk(choose, rng)
        other = self._second.walk(lambda each: choose(Open(each.kind + shift, each.place, each.weights)), rng)
        return None if one is None or other is None else self._joined(one, other)

    def walked(self, architecture: Architecture) -> tuple[Token, ...] | None:
        """See `Sequences.walked`."""
        one, other = self._parts(architecture)
        first, second, shift = self._first.walked(one), self._second.walked(other), len(self._first.kinds)
        if first is None or second is None:
            return None
        return (
            *first,
            *(Token(Open(t.open.kind + shift, t.open.place, t.open.weights), t.option) for t in second),
        )


def _drawn(bins: Bins, option: int, holds: Callable[[Scalar], bool], rng: np.random.Generator) -> Scalar:
    """A value of a legal option that holds."""
    if bins.values is not None:
        return bins.values[option]
    for _ in range(_DRAWS):
        value = bins.draw(option, rng)
        if holds(value):
            return value
    return next(probe for probe in bins.probes[option] if holds(probe))


def _weights(slot: Slot, bins: Bins, legal: Sequence[bool], values: Values, at: int) -> tuple[float, ...]:
    if slot.weights is None or bins.values is None:
        return bins.weights if legal is bins.there else tuple([float(each) for each in legal])
    options = [value for value, is_legal in zip(bins.values, legal, strict=True) if is_legal]
    known = values if slot.each is None else {**values, slot.name: values[slot.name][:at]}
    weights = iter(slot.weights(_without(known, slot), options))
    found = [max(float(next(weights)), 0.0) if is_legal else 0.0 for is_legal in legal]
    least = _RARE * sum(found) / len(options) or 1.0  # all equally where none is ever drawn
    return tuple([max(weight, least) if is_legal else 0.0 for weight, is_legal in zip(found, legal, strict=True)])


def _without(values: Mapping[str, Any], slot: Slot) -> Mapping[str, Any]:
    """What was drawn so far: a scalar's own candidates are not."""
    if slot.each is not None or slot.name not in values:
        return values
    return {name: value for name, value in values.items() if name != slot.name}


def _anything(_value: Scalar) -> bool:
    return True


def _hold(checks: Sequence[Check], values: Values) -> bool:
    return all(check.holds(values) for check in checks)
