"""What the user's own function declares of an architecture before it is evaluated, and whether that came true.

The function is imported at its first call: a study that is paused, or only read, never runs the user's code here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from math import isclose, isfinite
from numbers import Real

from nasd.controller.objectives import history_limits, history_objectives
from nasd.domain.architecture import Architecture
from nasd.domain.history import Fact
from nasd.domain.lifecycle import State
from nasd.domain.study import StudySpec
from nasd.errors import FunctionError, UserError
from nasd.strategies.base import Costs, nothing_known
from nasd.usercode import Function, line_of, load_function, package_of, plain_genes

KEY = "evaluation.costs"
_COUNTED = ("params", "flops")
_WHOLE = frozenset({"params", "flops", "peak_memory_bytes"})  # integers in SQL
_AGREE = 1e-6  # relative


class DeclaredCosts:
    """`nasd.strategies.base.Costs` from the function that `evaluation.costs` names.

    Args:
        dotted: `package.module:function`; called with genes as `evaluation.run` is, without a context.
        names: that it may speak of.
        counted: names that the space counts itself.
        load: imports it; called once.
    """

    def __init__(
        self, dotted: str, *, names: Collection[str], counted: Collection[str], load: Callable[[], Function]
    ) -> None:
        self._shown = f'{KEY} = "{dotted}"'
        self._names, self._counted, self._load = tuple(names), frozenset(counted), load
        self._function: Function | None = None
        self._first: frozenset[str] | None = None  # what the first answer spoke of

    def __call__(self, architecture: Architecture) -> Mapping[str, float]:
        """The values that it declares, in its own order.

        Raises:
            FunctionError: it can't be had here, raised something, or returned something else than numbers by name.
        """
        if self._function is None:
            self._function = self._load()
        try:
            returned = self._function(plain_genes(architecture.as_dict()))
        except (Exception, SystemExit) as error:  # whatever it raises is the user's to mend
            raise self._error(architecture, f"raised {type(error).__name__}: {error}{line_of(error)}") from error
        return self._checked(architecture, returned)

    def _checked(self, architecture: Architecture, returned: object) -> dict[str, float]:
        if not isinstance(returned, Mapping):
            raise self._error(architecture, f"returned {type(returned).__name__}, not a dict of numbers")
        values: dict[str, float] = {}
        for name, value in returned.items():
            if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
                raise self._error(architecture, f"returned {name} = {value!r}, not a finite number")
            number = float(value)
            if name in _WHOLE and not (number.is_integer() and number >= 0):
                raise self._error(architecture, f"returned {name} = {number:g}, not a whole number from 0")
            values[str(name)] = int(number) if name in _WHOLE else number
        found = frozenset(values)
        if self._first is None:
            self._check_names(architecture, found)
            self._first = found
        if found != self._first:
            before, now = (", ".join(sorted(names)) or "nothing" for names in (self._first, found))
            raise self._error(architecture, f"returned {now}, and of another one {before}")
        return values

    def _check_names(self, architecture: Architecture, found: frozenset[str]) -> None:
        if not found:
            raise self._error(architecture, "returned an empty dict")
        for name in sorted(found):
            if name in self._counted:
                raise self._error(architecture, f"returned {name}, which the space counts itself")
            if name not in self._names:
                known = ", ".join(self._names)
                raise self._error(architecture, f"returned {name}, which is no objective or limit; known: {known}")

    def _error(self, architecture: Architecture, problem: str) -> FunctionError:
        genes = architecture.json if len(architecture.json) <= 120 else f"{architecture.json[:116]} ..."
        return FunctionError("bad_costs", f"{self._shown}: for {genes} it {problem}. Mend the function")


def declared_costs(spec: StudySpec, *, allow: Collection[str] | None) -> Costs:
    """What the study's function declares, by the names that a trial's values have; nothing where it names none.

    Args:
        allow: packages that may be imported here; None: any, where the user's own command asks for it.
    """
    dotted = None if spec.evaluation is None else spec.evaluation.costs
    if dotted is None:
        return nothing_known
    names = dict.fromkeys(each.name for each in history_objectives(spec))
    names |= dict.fromkeys(limit.of for limit in history_limits(spec))
    return DeclaredCosts(
        dotted,
        names=tuple(names),
        counted=_COUNTED if spec.is_counted_ahead else (),
        load=partial(_load, dotted, study=spec.name, allow=allow),
    )


def _load(dotted: str, *, study: str, allow: Collection[str] | None) -> Function:
    package = package_of(dotted)
    if allow is not None and package not in allow:
        remedy = f"Start it with --allow {package}, and where the study was stopped by this: nasd resume {study}"
        raise FunctionError("not_allowed", f'{KEY} = "{dotted}": this program may not import {package}. {remedy}')
    return load_function(dotted, what=KEY, allow=None)


def check_agreement(declared: Mapping[str, float], fact: Fact) -> None:
    """Refuse to go on where a finished evaluation reports another value than was declared for it.

    The reported value is the true one; a search led by the other would be led astray, trial by trial.

    Raises:
        UserError: names trial, quantity and both values.
    """
    if fact.state is not State.COMPLETED:
        return
    for name, value in declared.items():
        reported = fact.values.get(name)
        if reported is None or isclose(value, reported, rel_tol=_AGREE, abs_tol=1e-12):
            continue
        remedy = f"Make the two agree, or leave {name} out of the costs, and run the study again"
        raise UserError(
            f"{KEY}: declares {name} = {value:.9g} for trial {fact.trial}, and evaluation.run reports {reported:.9g}. "
            f"{remedy}"
        )
