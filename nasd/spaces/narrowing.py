"""Narrowing a search space's choices to those a study file keeps. Knows no family and no torch."""

from collections.abc import Mapping

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


def narrow(kind: str, choices: Mapping[str, Options], params: Mapping[str, Options]) -> dict[str, Options]:
    """Keep of every choice what `params` lists, in the space's own order; choices not named stay whole.

    Raises:
        UserError: an unknown choice, an empty list or an option the space does not have.
    """
    for name, wanted in params.items():
        _check(kind, choices, name, wanted)
    return {
        name: tuple(option for option in options if name not in params or legal(option, params[name]) is not None)
        for name, options in choices.items()
    }


def _check(kind: str, choices: Mapping[str, Options], name: str, wanted: Options) -> None:
    shown = f"space.params.{name} = [{listed(wanted)}]"
    if name not in choices:
        raise UserError(f'{shown}: the {kind} space has no choice "{name}"; its choices: {", ".join(choices)}')
    if not wanted:
        raise UserError(f"{shown}: nothing is left to choose; keep at least one of {listed(choices[name])}")
    for value in wanted:
        if legal(value, choices[name]) is None:
            raise UserError(f"{shown}: {value} is no option of the {kind} space; options: {listed(choices[name])}")
