"""[space.params] of a space that comes with nasd: its choices narrowed, and recipe parameters added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nasd.domain.study import ParameterSpec, Role, Scalar, SpaceSpec
from nasd.errors import UserError
from nasd.spaces.parametric.declare import Parameter, parameter_of
from nasd.spaces.parametric.domains import Choice, Domain, IntRange


def narrowed(kind: str, parameters: Sequence[Parameter], spec: SpaceSpec) -> tuple[Parameter, ...]:
    """`parameters` with the options that `spec.params` keeps, in the space's own order, and its recipe parameters.

    Raises:
        UserError: an unknown choice, an option that the space does not have, or none left.
    """
    own = {parameter.name: parameter for parameter in parameters}
    for name, entry in spec.params.items():
        if name in own:
            own[name] = replace(own[name], domain=_narrow(kind, own[name], entry))
        elif entry.role is Role.RECIPE:
            own[name] = parameter_of(name, entry)
        else:
            raise UserError(
                f'{_shown(name, entry)}: the {kind} space has no choice "{name}"; its choices: '
                f'{", ".join(parameter.name for parameter in parameters)}. A setting of [train] needs role = "recipe"'
            )
    return tuple(own.values())


def _narrow(kind: str, parameter: Parameter, entry: ParameterSpec) -> Domain:
    shown = _shown(parameter.name, entry)
    extra = [key for key in ("each", "when", "otherwise") if getattr(entry, key) is not None]
    if extra or entry.role is not Role.ARCHITECTURE or entry.float_range or entry.log_range:
        what = ", ".join(extra) or "what it is"
        raise UserError(
            f"{shown}: {what} is the {kind} space's own; only options may be left out. Write a list of them"
        )
    domain = parameter.domain
    if entry.int_range is not None:
        if not isinstance(domain, IntRange):
            raise UserError(f"{shown}: is a choice; {domain}. Write a list of those to keep")
        low, high = entry.int_range
        if not domain.low <= low <= high <= domain.high:
            raise UserError(f"{shown}: must lie within {domain.low} to {domain.high}, the smaller number first")
        return IntRange(low, high)
    wanted = entry.choice or ()
    if not wanted:
        raise UserError(f"{shown}: nothing is left to choose; {domain}. Keep at least one")
    kept = {_option(kind, shown, domain, value) for value in wanted}
    if isinstance(domain, Choice):
        return Choice(tuple(option for option in domain.options if option in kept), domain.ordered)
    return Choice(tuple(sorted(kept, key=float)), ordered=True)


def _option(kind: str, shown: str, domain: Domain, value: Scalar) -> Scalar:
    option = domain.legal(value)
    if option is None:
        raise UserError(f"{shown}: {value} is no option of the {kind} space; {domain}")
    return option


def _shown(name: str, entry: ParameterSpec) -> str:
    options = entry.choice if entry.choice is not None else entry.int_range
    return f"space.params.{name}" + ("" if options is None else f" = [{', '.join(str(each) for each in options)}]")
