"""When a study's scoring boxes are frozen, and from which values."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from nasd.controller.fronts import KindFront
from nasd.controller.mind import StudyMind
from nasd.domain.extremes import count_extremes
from nasd.domain.ids import DeviceKind, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Objective, Source
from nasd.domain.scoring import OBSERVED_AFTER, Bounds, ScoringBox, box_for, observed_bounds
from nasd.errors import UserError


def freeze_boxes(mind: StudyMind, *, final: bool) -> dict[DeviceKind, ScoringBox]:
    """The boxes that can be frozen now, of kinds that have none yet.

    A box is due once every baseline is learned; a quantity nobody gave bounds for waits for the first results too.

    Args:
        final: the study ends: whatever was measured stands in for missing baselines.

    Raises:
        UserError: the study file's bounds contradict an objective's direction or scale.
    """
    open_kinds = {kind: front for kind, front in mind.fronts.items() if front.box is None}
    if not open_kinds or not (final or mind.baselines_are_final()):
        return {}
    boxes = {}
    for kind, front in open_kinds.items():
        box = _box(mind, front, final=final)
        if box is not None:
            boxes[kind] = box
    return boxes


def _box(mind: StudyMind, front: KindFront, *, final: bool) -> ScoringBox | None:
    stated = _stated(mind)
    measured: dict[str, tuple[float, float]] = {}
    observed: dict[str, tuple[float, float]] = {}
    for objective, column in zip(front.objectives, front.columns, strict=True):
        name = mind.history.objectives[column].name
        values = list(_baseline_values(mind, name))
        if not all(map(isfinite, values)):  # a device has not measured them all yet
            values = [value for value in values if final and isfinite(value)]
        if not values and final:
            values = list(_values(mind, name))
        if objective.source is Source.MEASURED and values:
            measured[objective.name] = (min(values), max(values))
        elif objective.name not in stated and _is_unbounded(mind, objective):
            edges = observed_bounds(_first_values(mind, name), objective)
            if edges is not None:
                observed[objective.name] = edges
    try:
        return box_for(
            front.objectives,
            error_worst=mind.parts.data.trivial_error if mind.parts.data else None,
            count_extremes=_counts(mind),
            baseline_extremes=measured,
            bounds={**observed, **stated},
        )
    except ValueError as error:
        raise UserError(f"objectives of study {mind.spec.name} can't be scored: {error}") from error


def _stated(mind: StudyMind) -> Bounds:
    """(best, worst) where the study file gives both."""
    return {
        name: (spec.best, spec.worst)
        for name, spec in mind.spec.objectives.items()
        if spec.best is not None and spec.worst is not None
    }


def _is_unbounded(mind: StudyMind, objective: Objective) -> bool:
    is_error = objective.name == "val_error" and mind.parts.data is not None
    is_counted = objective.source is Source.COUNTED and objective.name in _counts(mind)
    return not is_error and not is_counted


def _counts(mind: StudyMind) -> Bounds:
    """Searched once a mind; only before the box is frozen. Empty where only real modules can be counted."""
    if not mind.spec.is_counted_ahead:
        return {}
    if mind.count_extremes is None:
        also = [architecture for _, architecture in mind.parts.baselines]
        mind.count_extremes = count_extremes(mind.parts.space, also=also)
    return mind.count_extremes


def _baseline_values(mind: StudyMind, name: str) -> Iterator[float]:
    """Of the completed baselines, in trial order; NaN where one has none yet."""
    n = min(len(mind.parts.baselines), len(mind.history))
    column = next(i for i, objective in enumerate(mind.history.objectives) if objective.name == name)
    sign = mind.history.objectives[column].sign
    for number in range(n):
        if mind.history.state(TrialNumber(number)) is State.COMPLETED:
            yield sign * float(mind.history.losses[number, column])


def _values(mind: StudyMind, name: str) -> Iterator[float]:
    """Of completed trials, in learned order."""
    for fact in mind.history.facts:
        if fact.state is State.COMPLETED and name in fact.values:
            yield fact.values[name]


def _first_values(mind: StudyMind, name: str) -> list[float]:
    if mind.tally[State.COMPLETED] < OBSERVED_AFTER:
        return []  # without a look at the history: this is asked after every fact until there are enough
    return [value for value, _ in zip(_values(mind, name), range(OBSERVED_AFTER), strict=False)]
