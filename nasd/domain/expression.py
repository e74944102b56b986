"""A tiny safe language for `when` and constraints: read with `ast`, turned into closures, never evaluated as Python.

    d_model % heads == 0                      numbers, texts, true, false, lists; + - * / // % **, and or not
    op in ["conv", "depthwise"] and size > 3  comparisons, chains of them, in, not in
    sum(width) <= 512                         min max sum prod len all any over a list, abs of a number
    any(kernel == 7)                          inside them an expression is taken at every position
    width[0] == width[-1]                     one position

A parameter with `each` is a list. Inside a function, behind `in` and with a subscript it is meant whole; anywhere else
its name means the element at one position, and a constraint that says such a name holds where it holds at every
position.

What does not exist: a parameter that does not exist, or a position beyond the end, is None. Functions leave it out.
In arithmetic and in ordering comparisons it makes the whole expression undecided (`Undecided`): a constraint
that can't be judged holds, a `when` that can't be judged is false. Equality is decided: None equals None alone.
"""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nasd.domain.expression_nodes import Compiler, Run, Undecided

_LONGEST = 1000  # characters: more is no condition but a program
_MOST_NODES = 300

__all__ = ["Expression", "Undecided", "parse"]


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    Attributes:
        names: the parameters it reads.
        whole: of these, the lists that it reads as a whole.
        positions_of: the counts of the lists whose elements it reads one at a time; empty: it needs no position.
        run: (values by name, position) -> value; raises Undecided, ZeroDivisionError, TypeError, OverflowError.
    """

    text: str
    names: frozenset[str]
    whole: frozenset[str]
    positions_of: frozenset[str]
    run: Run

    def value(self, values: Mapping[str, object], position: int = 0) -> object:
        """What the expression comes to.

        Args:
            position: of the element that list names mean, from 0.

        Raises:
            Undecided: it reads what does not exist where a number is needed.
            ValueError: division by zero, or arithmetic on a text; names the expression.
        """
        try:
            return self.run(values, position)
        except (ZeroDivisionError, TypeError, OverflowError) as error:
            read = ", ".join(f"{name} = {values.get(name)}" for name in sorted(self.names))
            case = f" with {read}. Exclude that case" if read else ". Correct it"
            raise ValueError(f'"{self.text}": {_problem(error)}{case}') from error

    def is_true(self, values: Mapping[str, object], position: int = 0, *, undecided: bool) -> bool:
        """The value's truth; `undecided` where it can't be judged."""
        try:
            return bool(self.run(values, position))
        except Undecided:
            return undecided
        except (ZeroDivisionError, TypeError, OverflowError):
            return bool(self.value(values, position))  # fails again, with its sentence


def parse(text: str, *, known: Collection[str] | None = None, lists: Mapping[str, str] | None = None) -> Expression:
    """Read an expression.

    Args:
        known: the names it may use; None: any, so that only its form is checked.
        lists: of these names, those that are lists, with the name of their count.

    Raises:
        ValueError: one sentence that begins with the text in quotes: wrong syntax, what the language has not, a name
            that nothing has, an element where no list is.
    """
    try:
        tree = _tree(text)
        compiler = Compiler(lists=lists or {}, free=known is None)
        run, positions_of = compiler.expression(tree)
    except ValueError as error:
        raise ValueError(f'"{text}": {error}') from error
    for name in sorted(compiler.names):
        if known is not None and name not in known:
            raise ValueError(f'"{text}": no parameter is called {name}; {_nearest(name, known)}')
    return Expression(text, frozenset(compiler.names), frozenset(compiler.whole), positions_of, run)


def _tree(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise ValueError(f"has {len(text)} characters. Write at most {_LONGEST}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on style would end up on the user's screen
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "can't be read"
        column = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise ValueError(f"is no expression: {reason}{column}. Write one such as width % groups == 0") from error
    if sum(1 for _ in ast.walk(tree)) > _MOST_NODES:
        raise ValueError(f"has more than {_MOST_NODES} parts. Split it into several constraints")
    return tree


def _problem(error: Exception) -> str:
    if isinstance(error, ZeroDivisionError):
        return "divides by zero"
    return str(error) if isinstance(error, TypeError) else "becomes too big"


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    guess = f'. Did you mean "{near[0]}"?' if near else ". Texts need quotes."
    return f"known: {', '.join(sorted(known)) or 'none'}{guess}"
