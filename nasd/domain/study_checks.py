"""Checks that the tables of a study file share; each refusal names the key, its value and what is wrong."""

from __future__ import annotations


def positive(owner: str, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value > 0:
            raise ValueError(f"{owner}.{name} = {value}: must be greater than 0")


def not_negative(owner: str, **values: float) -> None:
    for name, value in values.items():
        if value < 0:
            raise ValueError(f"{owner}.{name} = {value}: must not be negative")


def _is_function(text: str) -> bool:
    """Whether `text` reads `package.module:function`."""
    module, colon, function = text.partition(":")
    return bool(colon) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def functions(owner: str, **values: str | None) -> None:
    for name, value in values.items():
        if value is not None and not _is_function(value):
            raise ValueError(f'{owner}.{name} = "{value}": write it as "package.module:function"')
