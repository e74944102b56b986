"""What changed between two versions of a study, and whether a study that has trials may change so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from nasd.domain.architecture import canonical_json
from nasd.domain.study import StudySpec
from nasd.errors import StudyFileError
from nasd.studyfile import known
from nasd.studyfile.convert import spec_to_json
from nasd.studyfile.kinds import grown
from nasd.studyfile.source import Source

_FREE = ("budget.trials", "budget.time", "strategy.in_flight")


def space_fingerprint(spec: StudySpec) -> str:
    """16 hexadecimal digits that differ when which networks are legal differs: the space and what feeds it."""
    value = spec_to_json(spec)
    return hashlib.sha256(canonical_json([value["space"], value["data"]]).encode()).hexdigest()[:16]


def changes(old: StudySpec, new: StudySpec) -> list[str]:
    """The dotted keys, as a study file writes them, whose values differ; a default counts as written."""
    before, after = dict(_flat(spec_to_json(old))), dict(_flat(spec_to_json(new)))
    names = [*before, *(key for key in after if key not in before)]
    changed = [key for key in names if before.get(key) != after.get(key)]
    if list(old.objectives) != list(new.objectives) and old.objectives.keys() == new.objectives.keys():
        changed.append("objectives")  # their order is the order of a front's columns
    if list(old.space.params) != list(new.space.params) and old.space.params.keys() == new.space.params.keys():
        changed.append("space.params")  # their order is the order in which they are drawn
    return changed


def allowed_change(key: str) -> bool:
    """Whether a study that has trials may change `key`: what it may spend, and how much is under way at once."""
    return key in _FREE


def refuse_changes(old: StudySpec, new: StudySpec, *, file: Path) -> None:
    """Refuse what would make the trials of `old` mean something else; a device kind more does not.

    Args:
        old: the study as its trials know it.
        new: the study as `file` has it now.
        file: where `new` was read from.

    Raises:
        StudyFileError: names the keys.
    """
    added = grown(old, new)
    refused = [key for key in changes(old, new) if not allowed_change(key) and key not in added]
    if not refused:
        return
    source = Source.read(file)
    first = tuple(refused[0].split("."))
    keys = ", ".join(refused)
    raise StudyFileError(
        f'{keys}: changed, but study "{old.name}" has trials made with the old value. '
        f'Change back, or give the study another name: name = "{old.name}-2"',
        file=source.file,
        line=source.line(first),
        key=refused[0],
    )


def _flat(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for field, member in value.items():
        key = prefix + known.RENAMED.get(field, field)
        if key == "objectives" and isinstance(member, list):
            for objective in member:
                yield from _flat({f"{objective['name']}": objective}, "objectives.")
        elif key == "space.params" and isinstance(member, list):
            for parameter in member:  # as a whole: its fields are one decision
                yield f"{key}.{parameter['name']}", parameter
        elif isinstance(member, dict):
            yield from _flat(member, f"{key}.")
        else:
            yield key, member
