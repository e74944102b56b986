"""Running: the user's own evaluation function, from the packages this worker was started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from math import isfinite
from numbers import Real
from typing import cast

from nasd.domain.data import DataFacts
from nasd.domain.measurement import UNITS, Measurement
from nasd.domain.study import EvaluationSpec, StudySpec
from nasd.errors import CandidateFault, WorldFault
from workers.assignment import Assignment
from workers.hooks import Hooks, StoppedEarly


@dataclass(frozen=True, slots=True)
class Context:
    """What a user's evaluation function is told beside the architecture, and how it talks back.

    Attributes:
        seed: of all randomness in this evaluation; the same for a retry on another worker.
        fidelity: the training steps asked for; 0 where the study sets none.
    """

    study: str
    trial: int
    seed: int
    replicate: int
    fidelity: int
    device_kind: str
    _hooks: Hooks = field(repr=False)

    def step(self, number: int, **values: float) -> None:
        """Call between two steps of work, with values known so far: here the function can be stopped or paused.

        A long function that never calls it can only be killed.
        """
        self._hooks.partial.update(values)
        self._hooks.at_own_step(number)


UserFunction = Callable[[dict[str, object], Context], Mapping[str, float]]


def evaluate(
    assignment: Assignment,
    spec: StudySpec,
    facts: DataFacts | None,  # noqa: ARG001 - every stage's signature
    hooks: Hooks,
) -> tuple[Measurement, ...]:
    """Call the function and check what it returned.

    Raises:
        CandidateFault: it returned something else than finite numbers for every objective of its own.
        WorldFault: this worker can't import it.
    """
    function = _function(spec.evaluation)
    context = Context(
        study=assignment.study_name,
        trial=assignment.trial_number,
        seed=assignment.seed,
        replicate=assignment.replicate,
        fidelity=assignment.fidelity,
        device_kind=assignment.device_kind,
        _hooks=hooks,
    )
    try:
        returned = function(cast("dict[str, object]", assignment.architecture.as_dict()), context)
    except StoppedEarly as stop:
        stop.measurements = measurements(stop.values, spec, complete=False)
        raise
    return measurements(returned, spec, complete=True)


def measurements(returned: object, spec: StudySpec, *, complete: bool) -> tuple[Measurement, ...]:
    """A user's numbers as measurements, in their order.

    Raises:
        CandidateFault: not a mapping of names to finite numbers, or (if `complete`) one that the study needs lacks.
    """
    if not isinstance(returned, Mapping):
        raise CandidateFault("bad_result", f"the evaluation returned {type(returned).__name__}, not a dict of numbers")
    counted = {"params", "flops"}
    missing = [name for name in spec.objectives if name not in returned and name not in counted]
    if complete and missing:
        raise CandidateFault("bad_result", f"the evaluation returned no {', '.join(missing)}; objectives need it")
    return tuple(_measurement(str(name), value, spec) for name, value in returned.items())


def _measurement(name: str, value: object, spec: StudySpec) -> Measurement:
    if isinstance(value, bool) or not (isinstance(value, Real) or hasattr(value, "item")):
        raise CandidateFault("bad_result", f"{name} = {value!r}: must be a number")
    number = float(value)  # type: ignore[arg-type]  # numpy and torch scalars have `item` and convert
    if not isfinite(number):
        raise CandidateFault("not_finite", f"{name} = {number}: must be finite")
    objective = spec.objectives.get(name)
    unit = (objective.unit if objective else None) or UNITS.get(name, "")
    return Measurement(name, number, unit)


def _function(spec: EvaluationSpec | None) -> UserFunction:
    if spec is None:
        raise WorldFault("no_function", "the study names no evaluation function; leased to a wrong stage")
    module_name, _, name = spec.run.partition(":")
    try:
        function = getattr(import_module(module_name), name)
    except ImportError as error:
        raise WorldFault(
            "function_missing", f"evaluation.run = {spec.run}: {error}. Start the worker where it can be imported"
        ) from error
    except AttributeError as error:
        raise WorldFault("function_missing", f"evaluation.run = {spec.run}: {module_name} has no {name}") from error
    if not callable(function):
        raise WorldFault("function_missing", f"evaluation.run = {spec.run}: {name} can't be called")
    return cast("UserFunction", function)
