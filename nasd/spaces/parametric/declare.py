"""The declaration of a space: parameters, constraints and what the family adds. Values only; `layout` compiles them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasd.domain.study import ParameterSpec, Role, Scalar
from nasd.errors import UserError
from nasd.spaces.parametric.domains import Choice, Domain, FloatRange, IntRange

Genes = dict[str, Any]  # by parameter; lists for those with `each`, None for what does not exist
Weights = Callable[[Mapping[str, Any], Sequence[Scalar]], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition in Python, where an expression would be clumsy.

    Attributes:
        reads: the parameters it needs, in the order of `holds`' arguments.
        holds: called with their values; None for what does not exist.
        each: the count whose lists are handed over one element at a time; None: lists are handed over whole.
        says: what it asks for, for the sentence about an architecture that breaks it.
    """

    reads: tuple[str, ...]
    holds: Callable[..., bool]
    each: str | None = None
    says: str = ""


Condition = str | Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One searched choice, or one per block.

    Attributes:
        each: the whole-number parameter that says how many there are; the gene is a list as long as it says.
        when: where it is false, the parameter does not exist. In a parameter with `each` it is asked at every
            position, and names with the same `each` mean the element there.
        otherwise: the value that the gene has where the parameter does not exist.
        weights: (values drawn so far, legal options) -> how likely each is; None: all equally. An element of a list is
            shown the elements before it: their number is its position. Called for choices and short ranges only.
    """

    name: str
    domain: Domain
    each: str | None = None
    when: Condition | None = None
    otherwise: Scalar | None = None
    role: Role = Role.ARCHITECTURE
    weights: Weights | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A whole space.

    Attributes:
        kind: the space's name, which every architecture carries.
        constraints: what every architecture satisfies.
        normalise: brings legal genes to the one form that equal networks share, in place or anew; called last, must
            be idempotent and give legal genes (what has no effect takes one of its legal values).
        counts: genes -> exact counts; None: they aren't known ahead.
        size: how many members there are, where the family can tell; None: it is counted or bounded.
    """

    kind: str
    parameters: tuple[Parameter, ...]
    constraints: tuple[Condition, ...] = ()
    normalise: Callable[[Genes], Genes] | None = None
    counts: Callable[[Mapping[str, Any]], dict[str, int]] | None = None
    size: int | None = None


def domain_of(name: str, spec: ParameterSpec) -> Domain:
    """The domain that a study file gives a parameter.

    Raises:
        UserError: none, two, or one that is empty; names `space.params.<name>`.
    """
    key = f"space.params.{name}"
    try:
        match spec:
            case ParameterSpec(choice=tuple(options), int_range=None, float_range=None, log_range=None):
                return _choice(options, ordered=spec.ordered)
            case ParameterSpec(choice=None, int_range=(low, high), float_range=None, log_range=None):
                return IntRange(low, high)
            case ParameterSpec(choice=None, int_range=None, float_range=(low, high), log_range=None):
                return FloatRange(low, high)
            case ParameterSpec(choice=None, int_range=None, float_range=None, log_range=(low, high)):
                return FloatRange(low, high, log=True)
    except ValueError as error:
        raise UserError(f"{key}: {error}") from error
    raise UserError(f"{key}: give one of choice, int, float and log, for example {name} = {{ int = [1, 4] }}")


def parameter_of(name: str, spec: ParameterSpec) -> Parameter:
    """The parameter that a study file's entry declares.

    Raises:
        UserError: see `domain_of`.
    """
    return Parameter(
        name=name,
        domain=domain_of(name, spec),
        each=spec.each,
        when=spec.when,
        otherwise=spec.otherwise,
        role=spec.role,
    )


def _choice(options: tuple[Scalar, ...], *, ordered: bool | None) -> Choice:
    """Numbers ascend unless the file says otherwise; `ordered = true` keeps the file's order."""
    numbers = all(isinstance(option, int | float) and not isinstance(option, bool) for option in options)
    if ordered is None and numbers:
        options = tuple(sorted(options, key=float))
    return Choice(options, numbers if ordered is None else ordered)
