"""The generic engine against brute force: over random small declarations, everything it says is so."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nasd.domain.expression import Expression, parse
from nasd.errors import SpaceExhausted, UserError
from nasd.spaces.parametric import Choice, Declaration, IntRange, Parameter, ParametricSpace

FLAG, NAMES, ODD = Choice((1, 2), ordered=True), Choice(("x", "y"), ordered=False), Choice((3, 5), ordered=True)
LISTS = {"k": "n", "m": "n"}
CONSTRAINTS = (
    "k % a == 0",
    "sum(m) <= 3",
    "k + m > 4",
    "z == a or n > 1",
    "m[0] == m[-1]",
    "len(k) < 3",
    "a * n <= 4",
    "any(k == 5) or b == 'x'",
)


@st.composite
def declarations(draw: st.DrawFn) -> Declaration:
    """Six parameters: scalars and two lists, with conditions on each other and constraints of every kind."""
    when_m = draw(st.sampled_from(["k > 3", "k == 3 and a == 1", "any(k == 5)", None]))
    parameters = (
        Parameter(name="n", domain=draw(st.sampled_from([IntRange(0, 2), Choice((1, 3), ordered=True)]))),
        Parameter(name="a", domain=FLAG),
        Parameter(name="b", domain=NAMES, when=draw(st.sampled_from(["a > 1", "n == 1", None]))),
        Parameter(name="k", domain=ODD, each="n", when=draw(st.sampled_from(["a > 1", "b == 'x'", None]))),
        Parameter(
            name="m", domain=FLAG, each="n", when=when_m, otherwise=draw(st.sampled_from([None, 1])) if when_m else None
        ),
        Parameter(name="z", domain=FLAG, when=draw(st.sampled_from(["sum(k) > 5", "m[0] == 2", None]))),
    )
    constraints = tuple(draw(st.lists(st.sampled_from(CONSTRAINTS), max_size=3, unique=True)))
    return Declaration(kind="t", parameters=parameters, constraints=constraints)


def brute(declaration: Declaration) -> Iterator[dict[str, Any]]:
    """Every legal set of genes, by trying all values of all parameters and judging them afterwards."""
    by_name = {each.name: each for each in declaration.parameters}
    for n in by_name["n"].domain.values():  # type: ignore[union-attr]
        absent = [(None,) if each.when else () for each in declaration.parameters]
        columns = []
        for parameter, gone in zip(declaration.parameters, absent, strict=True):
            options = (*(parameter.domain.values() or ()), *gone)
            columns.append(list(product(options, repeat=n)) if parameter.each else list(options))  # type: ignore[call-overload]
        columns[0] = [n]
        for values in product(*columns):
            genes = dict(zip(by_name, values, strict=True))
            if _is_legal(declaration, genes):
                yield genes


@cache
def _condition(text: str) -> Expression:
    return parse(text, known="nabkmz", lists=LISTS)


def _is_legal(declaration: Declaration, genes: dict[str, Any]) -> bool:
    seen = {**genes}
    for parameter in declaration.parameters:  # what does not exist reads as its otherwise
        value = genes[parameter.name]
        if parameter.otherwise is not None and parameter.each:
            seen[parameter.name] = tuple(parameter.otherwise if item is None else item for item in value)
    for parameter in declaration.parameters:
        if parameter.when is not None:
            condition = _condition(str(parameter.when))
            items = genes[parameter.name] if parameter.each else (genes[parameter.name],)
            for at, item in enumerate(items):
                if condition.is_true(seen, at, undecided=False) == (item is None):
                    return False
    for text in declaration.constraints:
        condition = _condition(str(text))
        places = range(genes["n"]) if condition.positions_of else (0,)
        if not all(condition.is_true(seen, at, undecided=True) for at in places):
            return False
    return True


@settings(max_examples=25, deadline=None)
@given(declarations(), st.integers(0, 2**32 - 1))
def test_the_engine_has_exactly_the_legal_members(declaration: Declaration, seed: int) -> None:
    """Counting, sampling, mutation, crossover, canonical form and encoding agree with what the declaration says."""
    legal = list(brute(declaration))
    if not legal:
        try:
            ParametricSpace(declaration)
        except UserError:
            return
        raise AssertionError("an empty space was built")
    space, rng = ParametricSpace(declaration), np.random.default_rng(seed)
    members = {architecture.key: architecture for architecture in map(space.canonical, legal)}
    assert space.size == len(members) == len(legal)
    assert space.counted.is_exact

    rows = np.array([space.encode(architecture) for architecture in members.values()])
    assert len(np.unique(rows, axis=0)) == len(members)
    parent = space.sample(rng)
    for _ in range(30):
        other = space.sample(rng)
        assert {parent.key, other.key, space.crossover(parent, other, rng).key} <= members.keys()
        try:
            child = space.mutate(parent, rng)
        except SpaceExhausted:
            assert len(members) == 1
            return
        assert child.key != parent.key
        assert child.key in members
        parent = child
