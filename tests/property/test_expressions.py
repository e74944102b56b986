"""The expression language: what it computes, what it refuses, and that no text makes it do anything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasd.domain.expression import Undecided, parse

NAMES = ("a", "b", "c")
numbers = st.integers(-20, 20) | st.floats(-9, 9).map(lambda x: round(x, 3))
values = st.fixed_dictionaries(dict.fromkeys(NAMES, numbers))
terms = st.recursive(
    st.sampled_from(NAMES) | numbers.map(lambda x: f"({x})"),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({' '.join(t)})"),
        inner.map(lambda t: f"(-{t})"),
        inner.map(lambda t: f"abs({t})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        st.lists(inner, min_size=1, max_size=3).map(lambda ts: f"sum([{', '.join(ts)}])"),
    ),
    max_leaves=6,
)
comparisons = st.tuples(terms, st.sampled_from(["<", "<=", "==", "!=", ">", ">="]), terms).map(" ".join)
conditions = st.recursive(
    comparisons | st.tuples(terms, comparisons).map(lambda t: f"{t[0]} < {t[1]}"),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({' '.join(t)})"),
        inner.map(lambda t: f"(not ({t}))"),
        st.tuples(terms, st.lists(terms, min_size=1, max_size=3)).map(lambda t: f"({t[0]} in [{', '.join(t[1])}])"),
    ),
    max_leaves=4,
)


@given(conditions, values)
def test_an_expression_means_what_it_means_in_python(text, given_values):
    """People write what they know; a precedence of our own would be a trap."""
    functions = {"abs": abs, "min": min, "max": max, "sum": sum}
    expected = eval(text, {"__builtins__": {}}, {**functions, **given_values})

    expression = parse(text, known=NAMES)

    assert expression.value(given_values) == expected
    assert expression.is_true(given_values, undecided=not expected) is bool(expected)
    assert expression.names <= set(NAMES)


@settings(max_examples=60)
@given(st.text(max_size=30) | st.text("ab[]()._,:=+-*/%<>'\"1 \\\n{}@~^&|lambdforin", max_size=30))
def test_any_text_is_either_read_or_refused_with_a_sentence(text):
    """A study file comes from anywhere: a crash would have no line, and running it would be worse."""
    try:
        expression = parse(text, known=NAMES)
    except ValueError as error:
        assert str(error).startswith(f'"{text}": ')  # noqa: PT017 - reading it is the other half of the law
    else:
        assert expression.names <= set(NAMES)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a.real", "a.real is not part of the language"),
        ("().__class__", r"\(\).__class__ is not part of the language"),
        ("open('x')", r"open\('x'\) is not part of the language"),
        ("a(1)", r"a\(1\) is not part of the language"),
        ("max(*[1])", "not part of the language"),
        ("max(a, key=b)", "not part of the language"),
        ("lambda: 1", "not part of the language"),
        ("[x for x in [1]]", "not part of the language"),
        ("f'{a}'", "not part of the language"),
        ("a if b else c", "not part of the language"),
        ("(a := 1)", "not part of the language"),
        ("a @ b", "bits and matrices"),
        ("~a", "not part of the language"),
        ("a is b", "Write == or !="),
        ("b'x'", "not part of the language"),
        ("1j", "not part of the language"),
        ("1e999", "too big"),
        ("a <", "is no expression: invalid syntax"),
        ("a = 1", "is no expression"),
        ("", "is no expression"),
        ("(" * 500, "is no expression"),
        ("a + " * 300 + "a", "characters|parts"),
        ("a + d", "no parameter is called d; known: a, b, c"),
        ("a[b]", "a is one value, not a list"),
        ("sum(a)", "needs a list"),
        ("a in b", "behind `in` must stand a list"),
        ("sum(1, 2)", r"Write sum\(\[1, 2\]\)"),
    ],
)
def test_what_the_language_lacks_is_refused_by_name(text, problem):
    """No attribute, call or comprehension may be smuggled in; the sentence says what there is instead."""
    with pytest.raises(ValueError, match=problem):
        parse(text, known=NAMES)


LISTS = {"width": "blocks", "op": "blocks", "head": "heads"}
VALUES = {"blocks": 3, "width": [8, None, 2], "op": ["c", "p", "c"], "heads": 0, "head": [], "size": 4, "gone": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(width)", 10),
        ("prod(width)", 16),
        ("len(width)", 2),
        ("len(op)", 3),
        ("min(width)", 2),
        ("max(head)", None),
        ("any(op == 'p')", True),
        ("all(op == 'c')", False),
        ("sum(width * size)", 40),
        ("any(width > 7 and op == 'c')", True),
        ("'p' in op", True),
        ("width[0] == 8", True),
        ("width[-1]", 2),
        ("width[7]", None),
        ("width[1] == gone", True),
        ("gone == 3", False),
        ("2 ** 10", 1024),
        ("7 // 2 + 7 % 2", 4),
        ("true and not false", True),
        ("gone == none", True),
        ("1 < size <= 4 != 5", True),
    ],
)
def test_lists_and_what_does_not_exist(text, expected):
    """Functions look at every element that exists; a position beyond the end is none."""
    assert parse(text, known=VALUES, lists=LISTS).value(VALUES) == expected


def test_a_list_named_alone_means_its_element_at_a_position():
    """`kernel <= width` is meant for each block, so it is judged at each."""
    expression = parse("width > size", known=VALUES, lists=LISTS)

    assert expression.positions_of == {"blocks"}
    assert expression.value(VALUES, 0) is True
    assert expression.value(VALUES, 2) is False


@pytest.mark.parametrize("text", ["gone > 3", "gone + 1 == 1", "-gone", "max(head) > 2", "width[7] < 1", "abs(gone)"])
def test_arithmetic_on_what_does_not_exist_is_undecided(text):
    """A constraint on it holds vacuously, a `when` is false; a made-up number would decide at random."""
    expression = parse(text, known=VALUES, lists=LISTS)

    with pytest.raises(Undecided):
        expression.value(VALUES)
    assert expression.is_true(VALUES, undecided=True) is True
    assert expression.is_true(VALUES, undecided=False) is False


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("size / (size - 4)", "divides by zero with size = 4"),
        ("size % 0", "divides by zero"),
        ("op[0] + 1", "takes 'c' for a number"),
        ("op[0] < 3", "takes 'c' for a number"),
        ("size ** 999", "becomes too big"),
        ("(0 - size) ** 0.5", "root of a negative number"),
    ],
)
def test_what_cannot_be_computed_names_the_expression_and_its_values(text, problem):
    """The user has to find the case that was not thought of."""
    expression = parse(text, known=VALUES, lists=LISTS)

    with pytest.raises(ValueError, match=problem) as caught:
        expression.is_true(VALUES, undecided=True)
    assert str(caught.value).startswith(f'"{text}": ')


def test_elements_of_two_lists_of_different_length_have_no_common_position():
    """They are told apart by their counts; `sum(width * head)` would pair what does not belong together."""
    with pytest.raises(ValueError, match="mixes lists of blocks and heads"):
        parse("sum(width * head) > 1", known=VALUES, lists=LISTS)
    assert parse("width > head", known=VALUES, lists=LISTS).positions_of == {"blocks", "heads"}
