"""[space.params] and space.constraints as the file writes them: forms that types can't say, one sentence for each."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping

from nasd.domain.expression import parse
from nasd.studyfile import known
from nasd.studyfile.lines import Path as KeyPath
from nasd.studyfile.source import Source, Table, shown

PARAMS = ("space", "params")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_DOMAINS = ("choice", "int", "float", "log")
_EXAMPLES = {"int": "[1, 8]", "float": "[0.0, 0.5]", "log": "[1e-4, 1e-2]"}
_TAKEN = frozenset({"true", "false", "none"})  # values in expressions
_FORMS = "a list of options such as [64, 128], or a table such as { int = [1, 8] }"


def check_parameters(source: Source) -> None:
    """Refuse parameters and constraints that can't be read.

    Raises:
        StudyFileError: no name, no domain or two, an empty or reversed one, `otherwise` without `when`, an expression
            with wrong syntax, ...
    """
    params = source.value(PARAMS)
    if params is not None and not isinstance(params, dict):
        raise source.error(PARAMS, "must be a table with one entry for each parameter")
    for name, entry in params.items() if isinstance(params, dict) else ():
        _check_name(source, name)
        _check_entry(source, (*PARAMS, name), entry)
    constraints = source.value(("space", "constraints"))
    if isinstance(constraints, list):
        for index, text in enumerate(constraints):
            _check_expression(source, ("space", "constraints", index), text)


def _check_name(source: Source, name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name.lower() in _TAKEN:
        rule = "a parameter's name is letters, digits and _, begins with a letter, and is no word of the expressions"
        raise source.error((*PARAMS, name), f"{rule}. Rename it")


def _check_entry(source: Source, path: KeyPath, entry: object) -> None:
    if isinstance(entry, list):
        _check_choice(source, path, entry)
        return
    if not isinstance(entry, dict):
        raise source.error(path, f"must be {_FORMS}")
    given = [key for key in _DOMAINS if key in entry]
    if len(given) != 1:
        problem = f"has {' and '.join(given)}. Keep one of them" if given else "does not say which values it may have"
        raise source.error(path, problem if given else f"{problem}. Give one of {', '.join(_DOMAINS)}")
    key = given[0]
    if key == "choice":
        _check_choice(source, (*path, key), entry[key])
    else:
        _check_range(source, (*path, key), entry[key], key)
    _check_pairs(source, path, entry)
    if "when" in entry:
        _check_expression(source, (*path, "when"), entry["when"])


def _check_choice(source: Source, path: KeyPath, options: object) -> None:
    if not isinstance(options, list):
        raise source.error(path, "must be a list of options such as [64, 128]")
    if not options:
        raise source.error(path, "is empty. Name at least one option or remove the key")
    seen: set[tuple[bool, object]] = set()
    for index, option in enumerate(options):
        if not isinstance(option, bool | int | float | str):
            raise source.error((*path, index), "must be a number, a text in quotes, true or false")
        if isinstance(option, float) and not math.isfinite(option):
            raise source.error((*path, index), "must be finite")
        same = (isinstance(option, bool), option)
        if same in seen:
            raise source.error(path, f"names {shown(option)} twice. Name each once")
        seen.add(same)


def _check_range(source: Source, path: KeyPath, ends: object, key: str) -> None:
    what = "two whole numbers" if key == "int" else "two numbers"
    pair = _pair(ends, whole=key == "int")
    if pair is None:
        raise source.error(path, f"must be {what}, the smallest and the largest value, such as {_EXAMPLES[key]}")
    low, high = pair
    if low > high:
        raise source.error(path, f"is the wrong way round. Write the smaller number first: {shown([high, low])}")
    if key == "log" and low <= 0:
        raise source.error(path, "a logarithmic range lies above 0. Begin above 0, or use float")


def _pair(ends: object, *, whole: bool) -> tuple[float, float] | None:
    if not isinstance(ends, list) or len(ends) != 2:
        return None
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, int if whole else int | float) or not math.isfinite(end):
            return None
    return ends[0], ends[1]


def _check_pairs(source: Source, path: KeyPath, entry: Table) -> None:
    if "otherwise" in entry and "when" not in entry:
        raise source.error((*path, "otherwise"), "means nothing without when. Add when, or remove the key")
    if "ordered" in entry and "choice" not in entry:
        raise source.error((*path, "ordered"), "is for choice; ranges have an order. Remove the key")
    if entry.get("role") == "recipe" and "each" in entry:
        raise source.error((*path, "each"), "a recipe parameter is one value for the whole training. Remove the key")


def _check_expression(source: Source, path: KeyPath, text: object) -> None:
    if not isinstance(text, str):
        raise source.error(path, 'must be an expression in quotes such as "width % groups == 0"')
    check_parsed(source, path, text)


def check_parsed(
    source: Source,
    path: KeyPath,
    text: str,
    *,
    names: Mapping[str, object] | None = None,
    lists: Mapping[str, str] | None = None,
) -> frozenset[str]:
    """Refuse an expression that can't be read; the names that it reads.

    Args:
        names: that it may use; None: any.
        lists: see `nasd.domain.expression.parse`.

    Raises:
        StudyFileError: at the line of `path`.
    """
    try:
        return parse(text, known=names, lists=lists).names
    except ValueError as error:
        raise source.error(path, str(error).removeprefix(f'"{text}": ')) from error


def nearest(name: str, names: Mapping[str, object]) -> str:
    """The tail of a sentence about a parameter that nobody declares."""
    return known.choose(name, names, what="parameters")
