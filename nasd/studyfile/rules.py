"""What types can't say of a study file: unknown keys, what is not built yet, names to choose from, relations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from nasd.domain.ids import ANYWHERE
from nasd.domain.measurement import UNITS
from nasd.domain.objective import SOURCES
from nasd.domain.objective import Source as ValueSource
from nasd.domain.study import StudySpec
from nasd.studyfile import known
from nasd.studyfile.lines import Path as KeyPath
from nasd.studyfile.source import Source

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_QUANTITY = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_KIND = re.compile(r"[a-z][a-z0-9-]{0,30}", re.ASCII)
_BIGGEST = 2**63 - 1  # what a database column holds


def is_kind(text: str) -> bool:
    """Whether a device kind may be called so."""
    return text != ANYWHERE and _KIND.fullmatch(text) is not None


def check_keys(source: Source) -> None:
    """Refuse unknown keys and what is not built yet, whichever the file names first.

    Raises:
        StudyFileError: an unknown key.
        NotBuiltYet: a feature of the design that this version lacks.
    """
    for path, _ in _keys(source.tables):
        _check_built(source, path)
        _check_known(source, path)


def _keys(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Each key below `value` with its path, in the file's order."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield (*path, key), member
            yield from _keys(member, (*path, key))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _keys(member, (*path, index))


def _check_built(source: Source, path: KeyPath) -> None:
    for pattern, feature in known.NOT_BUILT.items():
        if known.matches(pattern, path):
            raise source.not_built(path, feature, known.INSTEAD.get(pattern, "Remove the key"))


def _check_known(source: Source, path: KeyPath) -> None:
    *above, key = path
    has_own = "evaluation" in source.tables or "metric" in _table(source, "train")
    if above == ["objectives"] and key not in SOURCES and not has_own:
        tail = known.choose(str(key), SOURCES, what="quantities")
        own = "Quantities of your own need [evaluation] run or train.metric"
        raise source.error(path, f"no such quantity; {tail} {own}")
    for pattern in known.TABLES:
        if not known.matches(pattern, tuple(above)) or key in (names := known.keys_of(pattern)):
            continue
        where = f"[{'.'.join(str(step) for step in pattern)}]" if pattern else "a study file"
        raise source.error(
            path, f"no such key in {where.replace('.*', '')}; {known.choose(str(key), names, what='keys')}"
        )


def check_names(source: Source, spec: StudySpec) -> None:
    """Refuse names that nothing answers to, and settings that the chosen strategy hasn't.

    Raises:
        StudyFileError: with the known names.
    """
    if not NAME.fullmatch(spec.name):
        rule = 'must be 1 to 63 letters, digits, "-", "_" or ".", and begin with a letter or digit'
        hint = "" if "name" in source.tables else f", and this file's name, \"{spec.name}\", isn't"
        raise source.error(("name",), f'{rule}{hint}. Give it one: name = "my-study"')
    if spec.data.use is not None:
        _one_of(source, ("data", "use"), spec.data.use, known.DATA_SETS, what="data sets")
    _one_of(source, ("space", "kind"), spec.space.kind, known.SPACES, what="spaces")
    _one_of(source, ("strategy", "use"), spec.strategy.use, known.STRATEGY_SETTINGS, what="strategies")
    settings = known.STRATEGY_SETTINGS[spec.strategy.use]
    for key in _table(source, "strategy"):
        if key not in settings and key != "use":
            having = [name for name, of in known.STRATEGY_SETTINGS.items() if key in of]
            verb = "has" if len(having) == 1 else "have"
            problem = f'the strategy "{spec.strategy.use}" has no such setting; {", ".join(having)} {verb}'
            raise source.error(("strategy", key), f"{problem}. Remove the key or change strategy.use")


def _one_of(
    source: Source, path: KeyPath, name: str, names: tuple[str, ...] | Mapping[str, object], *, what: str
) -> None:
    if name not in names:
        raise source.error(path, f"no such name; {known.choose(name, names, what=what)}")


def _table(source: Source, name: str) -> Mapping[str, object]:
    table = source.tables.get(name, {})
    return table if isinstance(table, dict) else {}


def check_values(source: Source, spec: StudySpec) -> None:
    """Refuse values that no dataclass alone can judge.

    Raises:
        StudyFileError: a number too big to store, an empty or repeating list, a limit on nothing known, ...
    """
    for path, value in _keys(source.tables):
        if isinstance(value, int) and abs(value) > _BIGGEST:
            raise source.error(path, f"is too big. The biggest whole number is {_BIGGEST}")
        if known.matches(("objectives", known.ANY, "on"), path):
            _check_list(source, path, value)
            _check_kinds(source, path, value)
    for name, objective in spec.objectives.items():
        _check_objective(source, name, unit=objective.unit)
    for index, limit in enumerate(spec.limits):
        own = spec.has_own_quantities
        _check_limit(source, index, of=limit.of, on=limit.on, is_own=own, kinds=spec.device_kinds())


def _check_list(source: Source, path: KeyPath, value: object) -> None:
    items = value if isinstance(value, list) else []
    if not items:
        raise source.error(path, "is empty. Name at least one or remove the key")
    for index, item in enumerate(items):
        if item in items[:index]:
            raise source.error(path, f"names {item} twice. Name each once")


def _check_kinds(source: Source, path: KeyPath, kinds: object) -> None:
    for kind in kinds if isinstance(kinds, list) else ():
        if not is_kind(str(kind)):
            rule = f'a device kind is small letters, digits and -, beginning with a letter, and not "{ANYWHERE}"'
            raise source.error(path, f'names "{kind}": {rule}. Rename it, here and where its workers start')


def _check_objective(source: Source, name: str, *, unit: str | None) -> None:
    if not _QUANTITY.fullmatch(name):
        problem = "a quantity's name is small letters, digits and _, beginning with a letter"
        raise source.error(("objectives", name), f"{problem}. Rename it, in your evaluation too")
    if unit is not None and name in UNITS and unit != UNITS[name]:
        raise source.error(("objectives", name, "unit"), f'{name} is always in "{UNITS[name]}". Remove the key')


def _check_limit(source: Source, index: int, *, of: str, on: str | None, is_own: bool, kinds: Sequence[str]) -> None:
    path = ("limits", index, "of")
    if of not in SOURCES and not is_own:
        raise source.error(path, f"no such quantity; {known.choose(of, SOURCES, what='quantities')}")
    if on is not None and SOURCES.get(of) is not ValueSource.MEASURED:
        raise source.error(("limits", index, "on"), f"{of} does not depend on a device. Remove the key")
    if on is not None and on not in kinds:
        raise source.error(
            ("limits", index, "on"), f"no objective is measured on it; {known.choose(on, kinds, what='device kinds')}"
        )
