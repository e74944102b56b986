"""Running: the user's own evaluation function, from the packages this worker was started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from nasd.domain.data import DataFacts
from nasd.domain.measurement import LONGEST_NAME, MOST_OWN_VALUES, Measurement, is_name
from nasd.domain.study import StudySpec
from nasd.errors import CandidateFault, WorldFault
from nasd.usercode import load_function, plain_genes
from workers.assignment import Assignment
from workers.hooks import Hooks, StoppedEarly
from workers.scratch import kept_for_another_attempt, scratch_of
from workers.stages.context import Context, number
from workers.stages.split import split_of

UserFunction = Callable[[dict[str, object], Context], Mapping[str, float]]

_COUNTED = ("params", "flops")
_WHOLE = {*_COUNTED, "peak_memory_bytes"}  # shown as whole numbers
_BIGGEST_WHOLE = float(2**53)


def evaluate(assignment: Assignment, spec: StudySpec, facts: DataFacts | None, hooks: Hooks) -> tuple[Measurement, ...]:
    """Call the function and check what it returned.

    Raises:
        CandidateFault: it returned something else than finite numbers for every objective of its own.
        FunctionError: this worker can't import it.
    """
    if spec.evaluation is None:
        raise WorldFault("no_function", "the study names no evaluation function; leased to a wrong stage")
    function: UserFunction = load_function(spec.evaluation.run, what="evaluation.run", allow=hooks.allow)
    scratch = scratch_of(assignment, spec, hooks)
    context = Context(
        study=assignment.study_name,
        trial=assignment.trial_number,
        seed=assignment.seed,
        replicate=assignment.replicate,
        steps=assignment.fidelity,
        device_kind=assignment.device_kind,
        _hooks=hooks,
        _load_data=cache(lambda: split_of(spec, facts, hooks)),
        _scratch=scratch,
    )
    with kept_for_another_attempt(scratch):
        try:
            returned = function(plain_genes(assignment.architecture.as_dict()), context)
        except StoppedEarly as stop:
            stop.measurements = measurements(stop.values, spec, complete=False)
            raise
        if not context.is_stopped_early:
            return measurements(returned, spec, complete=True)
        early = StoppedEarly({**hooks.partial, **(returned if isinstance(returned, Mapping) else {})})
        early.measurements = measurements(early.values, spec, complete=False)
        raise early


def measurements(returned: object, spec: StudySpec, *, complete: bool) -> tuple[Measurement, ...]:
    """A user's numbers as measurements, in their order.

    Raises:
        CandidateFault: not a mapping of names to finite numbers, or (if `complete`) one that the study needs lacks.
    """
    if not isinstance(returned, Mapping):
        raise CandidateFault("bad_result", f"the evaluation returned {type(returned).__name__}, not a dict of numbers")
    if len(returned) > MOST_OWN_VALUES:
        raise CandidateFault(
            "bad_result", f"the evaluation returned {len(returned)} values; {MOST_OWN_VALUES} are kept"
        )
    given = _COUNTED if spec.is_counted_ahead else ()
    missing = [name for name in spec.quantities() if name not in returned and name not in given]
    if complete and missing:
        raise CandidateFault(
            "bad_result", f"the evaluation returned no {', '.join(missing)}; objectives and limits need it"
        )
    return tuple(_measurement(str(name), value, spec) for name, value in returned.items())


def _measurement(name: str, value: object, spec: StudySpec) -> Measurement:
    if not is_name(name):
        raise CandidateFault(
            "bad_result", f"{name[:LONGEST_NAME]!r}: a value's name is 1 to {LONGEST_NAME} printable characters"
        )
    found = number(name, value)
    if name in _WHOLE and not (found.is_integer() and 0 <= found <= _BIGGEST_WHOLE):
        raise CandidateFault("bad_result", f"{name} = {found}: must be a whole number, at least 0")
    return Measurement(name, found, spec.unit_of(name))
