"""Which quantities a history's columns and a device kind's front are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nasd.domain.ids import DeviceKind
from nasd.domain.objective import P95, P95_HIGH, P95_LOW, Limit, Objective, value_name, violation
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


def history_limits(spec: StudySpec, kinds: Sequence[DeviceKind] | None = None) -> tuple[Limit, ...]:
    """Every hard limit that makes a whole trial infeasible, by the names that a trial's values have.

    Args:
        kinds: of whose limits; None: all. One without `on` holds on each of them.
    """
    limits: dict[Limit, None] = {}
    for kind in spec.device_kinds() if kinds is None else kinds:
        limits |= dict.fromkeys(_named(spec.limits_of_trials(kind), kind))
    return tuple(limits)


def device_limits(spec: StudySpec, kind: DeviceKind, founding: Sequence[DeviceKind]) -> tuple[Limit, ...]:
    """The limits that keep a trial off `kind`'s front alone, by the names that a trial's values have.

    A kind that joined later has only such ones: what it measures must not undo what the search has found for others.
    """
    of_trials = set(history_limits(spec, founding))
    return tuple(limit for limit in _named(spec.limits_on(kind), kind) if limit not in of_trials)


def deciding_limits(spec: StudySpec, kind: DeviceKind) -> tuple[Limit, ...]:
    """What must be known to be kept before a trial may be on `kind`'s front: the interval of a p95, whole.

    While it is too wide to decide the limit is neither kept nor broken.
    """
    return tuple(
        replace(limit, of=value_name(P95_HIGH, kind), device=None) for limit in spec.limits_on(kind) if limit.of == P95
    )


def total_violation(spec: StudySpec, values: Mapping[str, float], kinds: Sequence[DeviceKind] | None = None) -> float:
    """By how much everything known of a trial breaks the study's limits (of `kinds`); 0.0 where it keeps them."""
    return violation(history_limits(spec, kinds), values)


def scalar_terms(spec: StudySpec, kind: DeviceKind | None = None) -> tuple[Term, ...]:
    """What [scalar] makes of the study's objectives, in their order; empty where the file has no such table.

    J = w * (1 - val_error) - sum of w * log(cost / at): greater is better.

    Args:
        kind: of its own objectives, by their plain names; None: of the history's columns, where a quantity that several
            device kinds measure counts with the mean of them.
    """
    if not spec.scalar:
        return ()
    n_kinds = len(spec.device_kinds()) if kind is None else 1
    terms = []
    for objective in history_objectives(spec) if kind is None else spec.objectives_on(kind):
        name = objective.name.partition("@")[0]
        entry = spec.scalar.get(name, ScalarSpec(weight=1.0 if name == "val_error" else 0.0))
        if not entry.weight:
            continue
        weight = entry.weight / (n_kinds if objective.device is not None else 1)
        constant = weight if name == "val_error" and entry.at is None else 0.0
        terms.append(Term(objective.name, -objective.sign * weight, at=entry.at, constant=constant))
    return tuple(terms)


def wanted_ranges(spec: StudySpec, kind: DeviceKind) -> dict[str, Range]:
    """What [preference] wants of `kind`'s objectives: name -> (best, worst)."""
    wanted = {each.name: spec.preference.get(each.name) for each in spec.objectives_on(kind)}
    return {name: (each.best, each.worst) for name, each in wanted.items() if each is not None}


def _named(limits: Sequence[Limit], kind: DeviceKind) -> tuple[Limit, ...]:
    """By the names that a trial's values have; a p95 breaks its limit where its whole interval lies above it."""
    return tuple(
        replace(limit, of=value_name(P95_LOW if limit.of == P95 else limit.of, kind), device=None) for limit in limits
    )
