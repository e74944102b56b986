"""The nodes of the expression language as closures; `nasd.domain.expression` says what they mean."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

Values = Mapping[str, Any]
Run = Callable[[Values, int], Any]
Node = tuple[Run, frozenset[str]]  # with the counts of the lists whose elements it reads

_NUMBERS = frozenset({int, float, bool})
_NO_COUNTS: frozenset[str] = frozenset()
_BIGGEST_POWER = 1e18
_CONSTANTS: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}  # as TOML writes them
_FUNCTIONS: Mapping[str, Callable[[list[Any]], Any]] = {
    "min": min,
    "max": max,
    "sum": sum,
    "prod": math.prod,
    "len": len,
    "all": all,
    "any": any,
}
_NEED_ONE = frozenset({"min", "max"})  # of nothing they are nothing
_HAS = (
    "it may use names, numbers, texts, lists, comparisons, and, or, not, in, + - * / // % **, a subscript, "
    f"and the functions abs, {', '.join(sorted(_FUNCTIONS))}"
)


class Undecided(Exception):
    """The expression needs the value of a parameter that does not exist."""


def _power(base: float, exponent: float) -> float:
    if abs(base) > 1 and abs(exponent) * math.log(abs(base)) > math.log(_BIGGEST_POWER):
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise TypeError("takes a root of a negative number")
    return float(result) if isinstance(result, float) else int(result)


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_ORDER: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EQUALITY: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}


class Compiler:
    """Turns one tree into closures; `names` are those it met, `whole` the lists that it met as a whole.

    Args:
        lists: name -> the name of its count, for every name that is a list.
        free: whether any name may be a list: only the form is checked.
    """

    def __init__(self, *, lists: Mapping[str, str], free: bool) -> None:
        self._lists, self._free = lists, free
        self.names: set[str] = set()
        self.whole: set[str] = set()

    def expression(self, node: ast.expr) -> Node:  # noqa: PLR0911 - one for each kind of node
        """Compile `node`.

        Raises:
            ValueError: the language has no such thing; the sentence goes on after the text.
        """
        match node:
            case ast.Constant(value=value):
                return _constant(value)
            case ast.Name(id=name):
                return self._name(name)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return self._items(items)
            case ast.BoolOp(op=op, values=parts):
                return self._boolean(parts, stops_at=isinstance(op, ast.Or))
            case ast.UnaryOp(op=op, operand=operand):
                return self._unary(op, operand)
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(left, op, right)
            case ast.Compare():
                return self._comparison(node)
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                return self._subscript(name, index)
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
        raise ValueError(f"{ast.unparse(node)} is not part of the language: {_HAS}")

    def _name(self, name: str) -> Node:
        if name in _CONSTANTS and name not in self._lists:
            return _constant(_CONSTANTS[name])
        self.names.add(name)
        if name in self._lists:
            return lambda values, at: values[name][at], frozenset({self._lists[name]})
        return lambda values, _: values[name], _NO_COUNTS

    def _items(self, nodes: list[ast.expr]) -> Node:
        runs, counts = self._all(nodes)
        return lambda values, at: [run(values, at) for run in runs], counts

    def _all(self, nodes: list[ast.expr]) -> tuple[list[Run], frozenset[str]]:
        parts = [self.expression(node) for node in nodes]
        return [run for run, _ in parts], _NO_COUNTS.union(*(counts for _, counts in parts))

    def _boolean(self, nodes: list[ast.expr], *, stops_at: bool) -> Node:
        runs, counts = self._all(nodes)

        def run(values: Values, at: int) -> bool:
            for part in runs:
                if bool(part(values, at)) is stops_at:
                    return stops_at
            return not stops_at

        return run, counts

    def _unary(self, op: ast.unaryop, operand: ast.expr) -> Node:
        inner, counts = self.expression(operand)
        if isinstance(op, ast.Not):
            return lambda values, at: not inner(values, at), counts
        if isinstance(op, ast.Invert):
            raise ValueError(f"~ is not part of the language: {_HAS}")  # noqa: TRY004 - as all refusals
        sign = -1 if isinstance(op, ast.USub) else 1
        return lambda values, at: sign * _number(inner(values, at)), counts

    def _binary(self, left: ast.expr, op: ast.operator, right: ast.expr) -> Node:
        act = _ARITHMETIC.get(type(op))
        if act is None:
            raise ValueError(f"bits and matrices are not part of the language: {_HAS}")
        (first, second), counts = self._all([left, right])

        def run(values: Values, at: int) -> Any:
            a, b = first(values, at), second(values, at)
            if a.__class__ in _NUMBERS and b.__class__ in _NUMBERS:
                return act(a, b)
            return act(_number(a), _number(b))

        return run, counts

    def _comparison(self, node: ast.Compare) -> Node:
        first, counts = self.expression(node.left)
        steps = []
        for op, right in zip(node.ops, node.comparators, strict=True):
            run, more = self._container(right) if isinstance(op, ast.In | ast.NotIn) else self.expression(right)
            steps.append((_comparing(op), run))
            counts |= more
        if len(steps) == 1:
            [(compare, second)] = steps
            return lambda values, at: compare(first(values, at), second(values, at)), counts

        def chain(values: Values, at: int) -> bool:
            left = first(values, at)
            for holds, run in steps:
                right = run(values, at)
                if not holds(left, right):
                    return False
                left = right
            return True

        return chain, counts

    def _container(self, node: ast.expr) -> Node:
        """What stands behind `in`."""
        match node:
            case ast.List() | ast.Tuple():
                return self.expression(node)
            case ast.Name(id=name) if self._free or name in self._lists:
                self.names.add(name)
                self.whole.add(name)
                return lambda values, _: values[name], _NO_COUNTS
        raise ValueError(f"behind `in` must stand a list, not {ast.unparse(node)}. Write it as [1, 2]")

    def _subscript(self, name: str, index: ast.expr) -> Node:
        if not self._free and name not in self._lists:
            raise ValueError(f"{name}[...]: {name} is one value, not a list")
        self.names.add(name)
        self.whole.add(name)
        try:
            place = ast.literal_eval(index)
        except ValueError:
            place = None
        if type(place) is not int:
            raise ValueError(f"{name}[{ast.unparse(index)}]: a position is a whole number such as 0 or -1")

        def run(values: Values, _: int) -> Any:
            items = values[name]
            return items[place] if items is not None and -len(items) <= place < len(items) else None

        return run, _NO_COUNTS

    def _call(self, name: str, arguments: list[ast.expr]) -> Node:
        if name == "abs" and len(arguments) == 1:
            run, counts = self.expression(arguments[0])
            return lambda values, at: abs(_number(run(values, at))), counts
        act = _FUNCTIONS.get(name)
        if act is None or not arguments or any(isinstance(each, ast.Starred) for each in arguments):
            raise ValueError(f"{name}({', '.join(map(ast.unparse, arguments))}) is not part of the language: {_HAS}")
        if len(arguments) > 1 or isinstance(arguments[0], ast.List | ast.Tuple):
            if len(arguments) > 1 and name not in _NEED_ONE:
                raise ValueError(f"{name} takes one list. Write {name}([{', '.join(map(ast.unparse, arguments))}])")
            nodes = arguments if len(arguments) > 1 else arguments[0].elts  # type: ignore[attr-defined]
            items, counts = self._items(nodes)
            return _over(name, act, items), counts
        return _over(name, act, self._mapped(name, arguments[0])), _NO_COUNTS

    def _mapped(self, function: str, argument: ast.expr) -> Run:
        """The argument's values at every position of the list that it reads."""
        before, self.names = self.names, set()
        run, counts = self.expression(argument)
        inside = sorted(each for each in self.names if each in self._lists)
        self.names |= before
        self.whole.update(inside)
        shown = ast.unparse(argument)
        if self._free:
            return lambda values, at: [run(values, at)]
        if len(counts) > 1:
            raise ValueError(f"{function}({shown}) mixes lists of {' and '.join(sorted(counts))}. Use lists of one")
        if not counts:
            raise ValueError(f"{function}({shown}) needs a list: a parameter that has each, or [1, 2]")
        spine = next(each for each in inside if self._lists[each] in counts)

        def values_of(values: Values, _: int) -> list[Any]:
            return [_or_none(run, values, place) for place in range(len(values[spine] or ()))]

        return values_of


def _constant(value: object) -> Node:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number in it is too big")
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError(f"{value!r} is not part of the language: {_HAS}")
    return lambda _values, _at: value, _NO_COUNTS


def _number(value: Any) -> Any:
    if value is None:
        raise Undecided
    if value.__class__ not in _NUMBERS:
        raise TypeError(f"takes {value!r} for a number")
    return value


def _comparing(op: ast.cmpop) -> Callable[[Any, Any], bool]:
    equal = _EQUALITY.get(type(op))
    if equal is not None:
        return equal
    order = _ORDER.get(type(op))
    if order is None:
        raise ValueError("`is` is not part of the language. Write == or !=")

    def compare(a: Any, b: Any) -> bool:
        if a.__class__ in _NUMBERS and b.__class__ in _NUMBERS:
            return order(a, b)
        return order(_number(a), _number(b))

    return compare


def _over(name: str, act: Callable[[list[Any]], Any], items: Run) -> Run:
    """`act` over the items that exist."""
    sums = name in {"sum", "prod", "min", "max"}

    def run(values: Values, at: int) -> Any:
        present = [item for item in items(values, at) if item is not None]
        if not present and name in _NEED_ONE:
            return None
        return act([_number(item) for item in present] if sums else present)

    return run


def _or_none(run: Run, values: Values, place: int) -> Any:
    try:
        return run(values, place)
    except Undecided:
        return None
