"""A declaration made ready to draw from: parameters in dependency order, conditions compiled and in their place.

A constraint is judged as soon as the last of its parameters is drawn, so that it filters that one's options and starves
no other: with `d_model % heads == 0` heads are drawn among those that divide d_model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from nasd.domain.expression import Expression, parse
from nasd.domain.recipe import SEARCHABLE
from nasd.domain.study import Role, Scalar
from nasd.errors import UserError
from nasd.spaces.parametric.declare import Condition, Declaration, Parameter, Rule, Weights
from nasd.spaces.parametric.domains import Choice, Domain

LONGEST = 1024  # elements of a list
_Holds = Callable[[Mapping[str, Any], int], bool]


@dataclass(frozen=True, slots=True)
class Check:
    """A compiled condition.

    Attributes:
        whole: the lists that it reads as a whole.
        each: the count whose positions it is judged at; None: once.
        spine: a list as long as there are positions.
        holds_at: (values, position) -> whether it holds there.
    """

    says: str
    reads: frozenset[str]
    whole: frozenset[str]
    holds_at: _Holds
    each: str | None = None
    spine: str = ""

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds, at every position."""
        if self.each is None:
            return self.holds_at(values, 0)
        holds_at = self.holds_at
        return all(holds_at(values, at) for at in range(len(values[self.spine])))


@dataclass(slots=True, kw_only=True)
class Slot:
    """A parameter in its place in the drawing order.

    Attributes:
        active: whether it exists; None: always.
        local: constraints that are known once a scalar, or one element of a list, is drawn.
        whole: constraints that are known once the whole list is.
    """

    name: str
    domain: Domain
    each: str | None
    otherwise: Scalar | None
    weights: Weights | None
    active: Check | None
    local: list[Check] = field(default_factory=list)
    whole: list[Check] = field(default_factory=list)

    @classmethod
    def of(cls, parameter: Parameter, active: Check | None) -> Slot:
        """An empty slot."""
        p = parameter
        return cls(name=p.name, domain=p.domain, each=p.each, otherwise=p.otherwise, weights=p.weights, active=active)

    def exists(self, values: Mapping[str, Any], at: int) -> bool:
        """Whether the parameter exists (at that position)."""
        return self.active is None or self.active.holds_at(values, at)


@dataclass(frozen=True, slots=True)
class Layout:
    """Slots in drawing order, and the constraints.

    Attributes:
        groups: count -> the parameters that have one element for each of it.
        longest: count -> how long their lists can be.
    """

    slots: tuple[Slot, ...]
    checks: tuple[Check, ...]
    groups: Mapping[str, tuple[Slot, ...]]
    longest: Mapping[str, int]
    by_name: Mapping[str, Slot]


def layout_of(declaration: Declaration) -> Layout:
    """Compile `declaration`.

    Raises:
        UserError: a name twice, an unknown name, `each` of what is no count, a cycle, a wrong expression.
    """
    parameters = {parameter.name: parameter for parameter in declaration.parameters}
    if len(parameters) < len(declaration.parameters):
        names = [parameter.name for parameter in declaration.parameters]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"space.params.{twice}: is declared twice. Give one of them another name")
    if not parameters:
        raise UserError("space.params: no parameter is declared. Add one, for example width = { choice = [64, 128] }")
    lists = {name: parameter.each for name, parameter in parameters.items() if parameter.each is not None}
    for parameter in parameters.values():
        _check_parameter(parameter)
    for name, count in lists.items():
        _check_count(name, count, parameters)
    actives = {name: _active(parameter, parameters, lists) for name, parameter in parameters.items()}
    slots = {name: Slot.of(parameters[name], actives[name]) for name in _order(parameters, actives)}
    checks = tuple(_constraint(condition, parameters, lists) for condition in declaration.constraints)
    for check in checks:
        _place(check, slots)
    groups = {
        count: tuple(slot for slot in slots.values() if slot.each == count) for count in dict.fromkeys(lists.values())
    }
    longest = {count: max(_ends(parameters[count])) for count in groups}
    return Layout(tuple(slots.values()), checks, groups, longest, slots)


def _ends(count: Parameter) -> tuple[int, ...]:
    """Whole numbers that a count may be, its smallest and largest among them; none where it is no count."""
    domain = count.domain
    options = domain.options if isinstance(domain, Choice) else (domain.at(0.0), domain.at(1.0))
    return tuple(option for option in options if type(option) is int) if len(set(map(type, options))) == 1 else ()


def _check_parameter(parameter: Parameter) -> None:
    key = f"space.params.{parameter.name}"
    if parameter.otherwise is not None and parameter.when is None:
        raise UserError(f"{key}.otherwise = {parameter.otherwise}: means nothing without when. Remove it or add when")
    if parameter.role is Role.RECIPE and parameter.each is not None:
        raise UserError(f'{key}.each = "{parameter.each}": a recipe parameter is one value. Remove each')
    if parameter.role is Role.RECIPE and parameter.name not in SEARCHABLE:
        raise UserError(f"{key}: is no setting of [train] that can be searched; those are {', '.join(SEARCHABLE)}")


def _check_count(name: str, count: str, parameters: Mapping[str, Parameter]) -> None:
    key = f'space.params.{name}.each = "{count}"'
    owner = parameters.get(count)
    if owner is None:
        raise UserError(f"{key}: no parameter has that name; known: {', '.join(parameters)}")
    if owner.each is not None:
        raise UserError(f"{key}: {count} is a list itself. Name a parameter that is one whole number")
    ends = _ends(owner)
    if not ends or min(ends) < 0:
        raise UserError(f"{key}: {count} is no count. Name a parameter of whole numbers from 0")
    if max(ends) > LONGEST:
        raise UserError(f"{key}: {count} goes up to {max(ends)}. A list has at most {LONGEST} elements")


def _active(parameter: Parameter, parameters: Mapping[str, Parameter], lists: Mapping[str, str]) -> Check | None:
    if parameter.when is None:
        return None
    key = f"space.params.{parameter.name}.when"
    check = compiled(parameter.when, parameters, lists, key=key, undecided=False)
    if check.each not in {None, parameter.each}:
        raise UserError(
            f"{key}: {check.says}: {check.spine} is a list with one element per {check.each}, and {parameter.name} has "
            f"none of its own. Use any(...), all(...) or {check.spine}[0]"
        )
    return check


def _constraint(condition: Condition, parameters: Mapping[str, Parameter], lists: Mapping[str, str]) -> Check:
    return compiled(condition, parameters, lists, key="space.constraints", undecided=True)


def compiled(
    condition: Condition,
    parameters: Mapping[str, Parameter],
    lists: Mapping[str, str],
    *,
    key: str,
    undecided: bool,
) -> Check:
    """A condition ready to be judged.

    Args:
        lists: those of `parameters` that are lists, with their count.
        key: where it stands in a study file.
        undecided: what it comes to where it can't be judged.

    Raises:
        UserError: wrong, or of what is not there.
    """
    if isinstance(condition, Rule):
        return _rule(condition, parameters, lists, key=key)
    try:
        expression = parse(condition, known=parameters, lists=lists)
    except ValueError as error:
        raise UserError(f"{key}: {error}") from error
    if len(expression.positions_of) > 1:
        mixed = " and ".join(sorted(expression.positions_of))
        raise UserError(f'{key}: "{condition}": mixes lists of {mixed}. Use sum(...), all(...) or a position')
    each = next(iter(expression.positions_of), None)
    spine = next((name for name in sorted(expression.names) if each is not None and lists.get(name) == each), "")
    judge = _judge(expression, undecided=undecided)
    return Check(f'"{condition}"', expression.names, expression.whole, judge, each, spine)


def _judge(expression: Expression, *, undecided: bool) -> _Holds:
    is_true = expression.is_true
    return lambda values, at: is_true(values, at, undecided=undecided)


def _rule(rule: Rule, parameters: Mapping[str, Parameter], lists: Mapping[str, str], *, key: str) -> Check:
    says = rule.says or getattr(rule.holds, "__name__", "a rule")
    for name in rule.reads:
        if name not in parameters:
            raise UserError(f"{key}: {says}: no parameter is called {name}; known: {', '.join(parameters)}")
    holds, each = rule.holds, rule.each
    reads = [(name, each is not None and lists.get(name) == each) for name in rule.reads]
    spine = next((name for name, one_by_one in reads if one_by_one), "")
    if each is not None and not spine:
        raise UserError(f"{key}: {says}: none of {', '.join(rule.reads)} has each = {each}")

    def holds_at(values: Mapping[str, Any], at: int) -> bool:
        return bool(holds(*[values[name][at] if one_by_one else values[name] for name, one_by_one in reads]))

    whole = frozenset(name for name, one_by_one in reads if not one_by_one)
    return Check(says, frozenset(rule.reads), whole, holds_at, each, spine)


def _order(parameters: Mapping[str, Parameter], actives: Mapping[str, Check | None]) -> Sequence[str]:
    """Each after what its count and its `when` read; else as declared."""
    needs: dict[str, set[str]] = {}
    for name, parameter in parameters.items():
        active = actives[name]
        needs[name] = (set(active.reads) if active else set()) | ({parameter.each} if parameter.each else set())
    ordered: dict[str, None] = {}
    while len(ordered) < len(parameters):
        ready = next((name for name in parameters if name not in ordered and needs[name] <= ordered.keys()), None)
        if ready is None:
            raise UserError(
                _cycle({name: need - ordered.keys() for name, need in needs.items() if name not in ordered})
            )
        ordered[ready] = None
    return tuple(ordered)


def _cycle(waiting: Mapping[str, set[str]]) -> str:
    path = [next(iter(waiting))]
    while path[-1] not in path[:-1]:
        path.append(min(waiting[path[-1]]))
    circle = path[path.index(path[-1]) :]
    steps = ", ".join(f"{name} needs {other}" for name, other in pairwise(circle))
    return f"space.params.{circle[0]}: whether it exists depends on itself: {steps}. Remove one when or each"


def _place(check: Check, slots: Mapping[str, Slot]) -> None:
    """Give the constraint to the last drawn of its parameters."""
    last = next((slot for slot in reversed(tuple(slots.values())) if slot.name in check.reads), None)
    if last is None:
        raise UserError(f"space.constraints: {check.says}: reads no parameter. Remove it")
    is_local = last.each is None or (check.each == last.each and last.name not in check.whole)
    (last.local if is_local else last.whole).append(check)
