"""Which quantities a history's columns and a device kind's front are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nasd.domain.ids import DeviceKind
from nasd.domain.objective import Limit, Objective, value_name, violation
from nasd.domain.scalar import Term
from nasd.domain.study import ScalarSpec, StudySpec

if TYPE_CHECKING:
    from nasd.strategies.base import Range


def history_objectives(spec: StudySpec) -> tuple[Objective, ...]:
    """The columns of the study's history: each objective once, a measured one once for each kind it is wanted on."""
    kinds = spec.device_kinds()
    columns: dict[str, Objective] = {}
    for kind in kinds:
        for objective in spec.objectives_on(kind):
            name = value_name(objective.name, objective.device)
            columns.setdefault(name, replace(objective, name=name))
    return tuple(columns.values())


def kind_columns(spec: StudySpec, kind: DeviceKind) -> tuple[int, ...]:
    """Where `spec.objectives_on(kind)` stand among the history's columns."""
    names = [objective.name for objective in history_objectives(spec)]
    return tuple(names.index(value_name(objective.name, objective.device)) for objective in spec.objectives_on(kind))


def history_limits(spec: StudySpec) -> tuple[Limit, ...]:
    """Every hard limit, by the names that a trial's values have; one without `on` holds on every kind."""
    kinds = spec.device_kinds()
    limits: dict[Limit, None] = {}
    for kind in kinds:
        for limit in spec.limits_of_trials(kind):
            limits[replace(limit, of=value_name(limit.of, kind), device=None)] = None
    return tuple(limits)


def total_violation(spec: StudySpec, values: Mapping[str, float]) -> float:
    """By how much everything known of a trial breaks the study's limits; 0.0 where it keeps them."""
    return violation(history_limits(spec), values)


def scalar_terms(spec: StudySpec) -> tuple[Term, ...]:
    """What [scalar] makes of the study's objectives, in their order; empty where the file has no such table.

    J = w * (1 - val_error) - sum of w * log(cost / at): greater is better. A quantity that several device kinds measure
    counts with the mean of them.
    """
    if not spec.scalar:
        return ()
    kinds = len(spec.device_kinds())
    terms = []
    for objective in history_objectives(spec):
        name = objective.name.partition("@")[0]
        entry = spec.scalar.get(name, ScalarSpec(weight=1.0 if name == "val_error" else 0.0))
        if not entry.weight:
            continue
        weight = entry.weight / (kinds if objective.device is not None else 1)
        constant = weight if name == "val_error" and entry.at is None else 0.0
        terms.append(Term(objective.name, -objective.sign * weight, at=entry.at, constant=constant))
    return tuple(terms)


def wanted_ranges(spec: StudySpec) -> dict[str, Range]:
    """What [preference] wants of the history's columns: name -> (best, worst)."""
    ranges = {}
    for objective in history_objectives(spec):
        wanted = spec.preference.get(objective.name.partition("@")[0])
        if wanted is not None:
            ranges[objective.name] = (wanted.best, wanted.worst)
    return ranges
