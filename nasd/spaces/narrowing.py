"""Narrowing a search space's choices to those a study file keeps. Knows no family and no torch."""

from collections.abc import Mapping

from nasd.domain.study import ParameterSpec, Scalar
from nasd.errors import UserError

Option = int | float | str
Options = tuple[Option, ...]


def listed(options: Options) -> str:
    """The options as a sentence shows them."""
    return ", ".join(str(option) for option in options)


def legal(value: object, options: Options) -> Option | None:
    """The option equal to `value`, in the space's own type (0 becomes 0.0); None where there is none."""
    if isinstance(value, bool):  # True == 1 would slip through
        return None
    return next((option for option in options if option == value), None)


def narrow(kind: str, choices: Mapping[str, Options], params: Mapping[str, ParameterSpec]) -> dict[str, Options]:
    """Keep of every choice what `params` lists, in the space's own order; choices not named stay whole.

    Raises:
        UserError: an unknown choice, an empty list or an option the space does not have.
    """
    kept = {name: _options(kind, choices, name, parameter) for name, parameter in params.items()}
    return {
        name: tuple(option for option in options if name not in kept or legal(option, kept[name]) is not None)
        for name, options in choices.items()
    }


def _options(kind: str, choices: Mapping[str, Options], name: str, parameter: ParameterSpec) -> Options:
    _check(kind, choices, name, parameter.choice)
    return tuple(option for option in parameter.choice or () if not isinstance(option, bool))


def _check(kind: str, choices: Mapping[str, Options], name: str, wanted: tuple[Scalar, ...] | None) -> None:
    shown = f"space.params.{name}" if wanted is None else f"space.params.{name} = [{', '.join(map(str, wanted))}]"
    if name not in choices:
        own = ", ".join(choices)
        remedy = 'A setting of [train] needs role = "recipe"; parameters of your own need kind = "custom"'
        raise UserError(f'{shown}: the {kind} space has no choice "{name}"; its choices: {own}. {remedy}')
    if wanted is None:
        raise UserError(f"{shown}: is a choice of the {kind} space. List the options to keep: {listed(choices[name])}")
    if not wanted:
        raise UserError(f"{shown}: nothing is left to choose; keep at least one of {listed(choices[name])}")
    for value in wanted:
        if legal(value, choices[name]) is None:
            raise UserError(f"{shown}: {value} is no option of the {kind} space; options: {listed(choices[name])}")
