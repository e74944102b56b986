"""Between `StudySpec` and plain JSON values: types are checked strictly, nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from nasd.domain.study import StudySpec


@cache
def _adapter() -> TypeAdapter[tuple[StudySpec]]:
    # Around a dataclass itself pydantic takes no config; around a tuple the dataclasses inside inherit it.
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return TypeAdapter(tuple[StudySpec], config=config)


def validate(fields: Mapping[str, object]) -> StudySpec:
    """The study that `fields` (plain JSON values by the dataclasses' field names) describe.

    Raises:
        pydantic.ValidationError: with locations that begin after index 0.
    """
    # Through JSON: in strict mode only there a list may become a tuple and a text an enumeration's member.
    return _adapter().validate_json(json.dumps([fields]))[0]


def spec_to_json(spec: StudySpec) -> dict[str, object]:
    """`spec` as plain JSON values, every default written out.

    Objectives become a list because their order is the order of a front's columns, parameters because theirs is the
    order in which they are drawn, and JSONB keeps no key order.
    """
    fields: dict[str, Any] = _adapter().dump_python((spec,), mode="json")[0]
    space = {**fields["space"], "params": _listed(fields["space"]["params"])}
    return {**fields, "space": space, "objectives": _listed(fields["objectives"])}


def spec_from_json(value: Mapping[str, object]) -> StudySpec:
    """The inverse of `spec_to_json`.

    Raises:
        ValueError: not what `spec_to_json` wrote.
    """
    objectives, space = _named(value.get("objectives"), "objectives"), value.get("space")
    if not isinstance(space, Mapping):
        raise ValueError("space: must be an object")  # noqa: TRY004 - one class for callers
    params = space.get("params")
    if isinstance(params, Mapping):  # as the first version wrote them
        params = [{"name": name, "choice": options} for name, options in params.items()]
    space = {**space, "params": _named(params, "space.params")}
    return validate({**value, "space": space, "objectives": objectives})


def _listed(members: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, **member} for name, member in members.items()]


def _named(members: object, key: str) -> dict[str, Any]:
    if not isinstance(members, list):
        raise ValueError(f"{key}: must be a list of objects with a name")  # noqa: TRY004 - one class for callers
    return {str(item["name"]): {key: part for key, part in item.items() if key != "name"} for item in members}
