"""From a TOML file to a `StudySpec`, or to one sentence that says what is wrong where and what to do about it."""

from __future__ import annotations

import dataclasses
import re
from datetime import date, time
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nasd.domain.data import Task
from nasd.domain.ids import LOCAL
from nasd.domain.objective import SOURCES
from nasd.domain.objective import Source as ValueSource
from nasd.domain.study import StudySpec
from nasd.errors import StudyFileError
from nasd.studyfile import known
from nasd.studyfile.convert import validate
from nasd.studyfile.durations import seconds_of
from nasd.studyfile.lines import Path as KeyPath
from nasd.studyfile.parameters import check_parameters
from nasd.studyfile.relations import check_relations
from nasd.studyfile.rules import check_keys, check_names, check_values
from nasd.studyfile.source import Source, Table, shown

_FIELD_OF = {key: field for field, key in known.RENAMED.items()}
_KEY_IN_MESSAGE = re.compile(r"(?P<key>[a-z_]+(?:\.[a-zA-Z0-9_]+)*)(?: = (?P<value>.*?))?: (?P<problem>.*)", re.DOTALL)
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dataclass_type": "a table",
    "mapping_type": "a table",
    "dict_type": "a table",
}
_NEEDED = {
    "objectives": "name at least one objective, for example [objectives] with val_error = {} and params = {}",
    "budget": 'say what the study may spend, for example [budget] with trials = 60 or time = "4h"',
    "of": 'name the quantity that is limited, for example of = "latency_ms"',
    "run": 'name the function, for example run = "package.module:function"',
}
_EXAMPLES = {
    ("budget", "trials"): "60",
    ("strategy", "in_flight"): "4",
    ("objectives", known.ANY): 'val_error = {} or latency_ms = { on = ["local"] }',
    ("objectives", known.ANY, "on"): '["local"]',
    ("space", "params", known.ANY): "[128, 256]",
    ("space", "params", known.ANY, "each"): '"blocks"',
    ("space", "preset"): '"small"',
    ("space", "constraints"): '["width % groups == 0"]',
    ("model", "build"): '"package.module:function"',
    ("model", "init"): '"weights.safetensors"',
    ("model", "freeze"): '["stem.*"]',
    ("data", "load"): '"package.module:function"',
    ("data", "files"): '"data/"',
    ("data", "context"): "64",
    ("train", "metric"): '"package.module:function"',
    ("train", "clip_norm"): "1.0",
    ("train", "validate_every"): "50",
    ("limits",): '[[limits]] with of = "latency_ms" and max = 20',
    ("limits", known.ANY, "of"): '"latency_ms"',
    ("limits", known.ANY, "on"): '"local"',
    ("limits", known.ANY, "max"): "20",
    ("limits", known.ANY, "min"): "0.1",
    ("objectives", known.ANY, "unit"): '"mJ"',
    ("objectives", known.ANY, "worst"): "1.0",
    ("objectives", known.ANY, "best"): "0.0",
    ("evaluation", "run"): '"package.module:function"',
    ("name",): '"my-study"',
    ("seed",): "0",
}


def load(path: Path) -> StudySpec:
    """Read a study file.

    Raises:
        StudyFileError: `file:line: key = value: what is wrong. What to do about it`.
        NotBuiltYet: the same, for what the design names and this version lacks.
    """
    source = Source.read(path)
    check_keys(source)
    check_parameters(source)
    fields = _fields(source, default_name=path.stem)
    try:
        spec = validate(fields)
    except ValidationError as error:
        raise _first_error(source, error) from error
    check_names(source, spec)
    check_values(source, spec)
    check_relations(source, spec)
    return spec


def located(path: Path, message: str) -> StudyFileError:
    """`table.key = value: problem`, found out by a floor above, with the file and the line of that key before it."""
    return _relation_error(Source.read(path), (), message)


def _fields(source: Source, *, default_name: str) -> Table:
    """The file's tables by the dataclasses' field names, with the defaults that depend on other keys."""
    fields = _copied(source, source.tables, ())
    assert isinstance(fields, dict)
    fields.setdefault("name", default_name)
    for table, key in known.DURATIONS:
        members = fields.get(table)
        tables = enumerate(members) if isinstance(members, list) else [(None, members)]
        for index, entry in tables:
            path = (table, key) if index is None else (table, index, key)
            if isinstance(entry, dict) and (value := source.value(path)) is not None:
                entry[_FIELD_OF[key]] = _seconds(source, path, value)
                del entry[key]
    _fill_kinds(fields)
    _fill_data(fields)
    _fill_recipe(fields)
    _unwrap_choices(fields)
    return fields


def _copied(source: Source, value: object, path: KeyPath) -> object:
    if isinstance(value, dict):
        return {key: _copied(source, member, (*path, key)) for key, member in value.items()}
    if isinstance(value, list):
        return [_copied(source, member, (*path, index)) for index, member in enumerate(value)]
    if isinstance(value, date | time):
        raise source.error(path, "dates and times of day mean nothing here. Put texts in quotes")
    return value


def _seconds(source: Source, path: KeyPath, value: object) -> float:
    try:
        return seconds_of(value)
    except ValueError as error:
        raise source.error(path, str(error)) from error


def _fill_kinds(fields: Table) -> None:
    """Measured objectives are measured on this machine where the file doesn't say where."""
    objectives = fields.get("objectives")
    for name, objective in objectives.items() if isinstance(objectives, dict) else ():
        if isinstance(objective, dict) and SOURCES.get(name) is ValueSource.MEASURED:
            objective.setdefault("on", [LOCAL])


def _fill_data(fields: Table) -> None:
    """Data that the file doesn't name are the digits."""
    data = fields.setdefault("data", {})
    if isinstance(data, dict) and not {"use", "load", "files"} & data.keys():
        data["use"] = "digits"


def _fill_recipe(fields: Table) -> None:
    """What [train] leaves open is what the family trains well with."""
    space, train = fields.get("space", {}), fields.setdefault("train", {})
    if not (isinstance(space, dict) and isinstance(train, dict)):
        return
    task = train.get("task", Task.CLASSIFICATION)
    for key, value in known.RECIPES.get(str(space.get("kind")), {}).items():
        if task == Task.CLASSIFICATION or key not in known.CLASSIFIERS_ONLY:
            train.setdefault(key, value)


def _unwrap_choices(fields: Table) -> None:
    """`width = [128, 256]` is short for `width = { choice = [128, 256] }`."""
    space = fields.get("space")
    params = space.get("params") if isinstance(space, dict) else None
    if not isinstance(params, dict):
        return
    for name, options in params.items():
        if isinstance(options, list):
            params[name] = {"choice": options}
        elif isinstance(options, dict):
            params[name] = {_FIELD_OF.get(key, key): value for key, value in options.items()}


def _first_error(source: Source, error: ValidationError) -> StudyFileError:
    """Of all errors the one that stands first in the file."""
    errors = [_sentence(source, details) for details in error.errors(include_url=False)]
    return min(errors, key=lambda each: each.line or 0)


def _sentence(source: Source, details: ErrorDetails) -> StudyFileError:
    path = _path_in(source, details["loc"][1:])
    kind = details["type"]
    if kind == "value_error":
        return _relation_error(source, path, str(details["ctx"]["error"]))
    if kind == "missing":
        key = str(details["loc"][-1])
        return source.error((*path, key), f"is missing; {_NEEDED[key]}")
    if kind == "enum":
        return source.error(path, f"must be {details['ctx']['expected']}".replace("'", '"'))
    if len(path) < len(details["loc"]) - 1 and kind != "missing":  # pydantic went on into a union's members
        return source.error(path, "must be a number, a text in quotes, true or false")
    example = _example(path)
    such = f" such as {example}" if example else ""
    return source.error(path, f"must be {_EXPECTED.get(kind, details['msg'])}{such}")


def _path_in(source: Source, location: tuple[int | str, ...]) -> KeyPath:
    """`location` in the file's own keys, as deep as the file goes."""
    path: KeyPath = ()
    for step in location:
        key: int | str = step
        if isinstance(step, str) and source.value((*path, step)) is None:
            key = known.RENAMED.get(step, step)
        if source.value((*path, key)) is None:
            break
        path = (*path, key)
    return path


def _relation_error(source: Source, path: KeyPath, message: str) -> StudyFileError:
    """A dataclass's own sentence, `table.key = value: problem`, at the line of that key."""
    match = _KEY_IN_MESSAGE.fullmatch(message)
    if match is None:
        return source.error(path, message)
    named = tuple(match["key"].split("."))
    key = (*path, *named[1:]) if path and named[0] == path[0] else named
    return source.error(key, match["problem"])


def _example(path: KeyPath) -> str | None:
    for pattern, example in _EXAMPLES.items():
        if known.matches(pattern, path):
            return example
    if len(path) == 1:
        return f"[{path[0]}]"
    for pattern, table in known.TABLES.items():
        if known.matches(pattern, path[:-1]):
            for field in dataclasses.fields(table):
                if field.name == path[-1] and isinstance(field.default, int | float | str):
                    return shown(field.default)
    return None
