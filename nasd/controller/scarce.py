"""Which trials a scarce device measures first: those that most likely enter its front.

Ranks of non-domination on what is known, which is never the value that is to be measured: exact counts, the error where
the trial is trained, and for the device's own quantity what its predictor says, or what other kinds measured.
"""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import NDArray

from nasd.controller.mind import BASELINE, StudyMind
from nasd.controller.predictor import features, predictor_of, rank_correlation
from nasd.controller.stages import BASELINE_PRIORITY, CHEAP_PRIORITY
from nasd.domain.ids import DeviceKind, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Source

Array = NDArray[np.float64]

HIGHEST, LOWEST = 40, 6  # below every export, above every training and every later round
MOST = 256  # trials that get a place; the rest wait at the end
_NEWEST = 2048  # that are looked at: older ones were passed over often enough
_TRUSTED = 0.3  # rank correlation of a predictor below which what others measured says more


def priorities(mind: StudyMind, kind: DeviceKind) -> dict[TrialNumber, int]:
    """The priority of each trial's first measurement on `kind`: a function of what the mind has learned.

    Baselines are first, because the scoring box waits for them; trials of one rank in the order of their sum of places,
    then of their numbers.
    """
    numbers = _unmeasured(mind, kind)
    plain = [number for number in numbers if mind.history.operators[number] != BASELINE]
    found = dict.fromkeys(set(numbers) - set(plain), BASELINE_PRIORITY + CHEAP_PRIORITY)
    first = _ordered(_known(mind, kind, plain), plain)
    best = sorted(first[:MOST])
    refined = _with_predictions(mind, kind, best)
    order = [*_ordered(refined, best), *first[MOST:]] if best else []
    steps = HIGHEST - LOWEST
    span = max(steps, min(len(order), MOST) - 1)
    for place, number in enumerate(order):
        found[number] = max(LOWEST, HIGHEST - place * steps // span)
    return found


def _unmeasured(mind: StudyMind, kind: DeviceKind) -> list[TrialNumber]:
    """Ascending: those in flight or completed whose measured quantities are not all known."""
    front, history = mind.fronts[kind], mind.history
    columns = [at for each, at in zip(front.objectives, front.columns, strict=True) if each.device is not None]
    missing = np.flatnonzero(np.isnan(history.losses[:, columns]).any(axis=1))
    states = (None, State.COMPLETED)
    return [TrialNumber(n) for n in missing.tolist() if history.state(TrialNumber(n)) in states][-_NEWEST:]


def _known(mind: StudyMind, kind: DeviceKind, numbers: list[TrialNumber]) -> Array:
    """(n, m) losses of `kind`'s front, with a stand-in for what it has not measured; every column finite."""
    front, history = mind.fronts[kind], mind.history
    rows = front.losses(history, numbers)
    for at, objective in enumerate(front.objectives):
        if objective.source is Source.COUNTED:
            rows[:, at] = _counted(mind, numbers, objective.name, rows[:, at])
        elif objective.device is not None:
            rows[:, at] = objective.sign * _measured_elsewhere(mind, kind, objective.name, numbers)
    return _filled(rows)


def _counted(mind: StudyMind, numbers: list[TrialNumber], name: str, column: Array) -> Array:
    """Of a trial in flight the history knows no counts yet; they are exact all the same."""
    if not mind.spec.is_counted_ahead:
        return column
    filled = column.copy()
    for at in np.flatnonzero(np.isnan(column)).tolist():
        filled[at] = mind.parts.space.counts(mind.history.architectures[numbers[at]])[name]
    return filled


def _measured_elsewhere(mind: StudyMind, kind: DeviceKind, quantity: str, numbers: list[TrialNumber]) -> Array:
    """(n,) places in [0, 1]: the mean over other kinds that know the quantity; of the FLOPs where none does."""
    columns = []
    for other, front in mind.fronts.items():
        for objective, at in zip(front.objectives, front.columns, strict=True):
            if other != kind and objective.name == quantity:
                columns.append(_places(objective.sign * mind.history.losses[np.asarray(numbers, dtype=np.intp), at]))
    table = np.array(columns) if columns else np.full((1, len(numbers)), np.nan)
    n_known = np.isfinite(table).sum(axis=0)
    means: Array = np.where(n_known > 0, np.nansum(table, axis=0) / np.maximum(n_known, 1), np.nan)
    if np.isnan(means).any() and mind.spec.is_counted_ahead:
        by_count = _places(_counted(mind, numbers, "flops", np.full(len(numbers), np.nan)))
        means = np.where(np.isnan(means), by_count, means)
    return means


def _places(values: Array) -> Array:
    """Places from 0 to 1 among the finite values; NaN stays."""
    places = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    order = np.argsort(values[known], kind="stable")
    places[known[order]] = np.arange(len(known)) / max(len(known) - 1, 1)
    return places


def _with_predictions(mind: StudyMind, kind: DeviceKind, numbers: list[TrialNumber]) -> Array:
    """The same rows with what the kind's own predictors say, where they are any good."""
    rows, front = _known(mind, kind, numbers), mind.fronts[kind]
    if not numbers:
        return rows
    for at, objective in enumerate(front.objectives):
        if objective.device is None:
            continue
        predictor = predictor_of(mind, kind, objective.name)
        if predictor is None or rank_correlation(predictor.left_out, predictor.seen) < _TRUSTED:
            continue
        predicted = predictor.predict(features(mind, [mind.history.architectures[n] for n in numbers]))
        rows[:, at] = objective.sign * predicted
    return rows


def _filled(rows: Array) -> Array:
    """What is unknown of a trial counts as the middle of what is known of the others: neither a hope nor a fear."""
    for column in rows.T:
        known = column[np.isfinite(column)]
        column[~np.isfinite(column)] = np.median(known) if len(known) else 0.0
    return rows


def _ordered(rows: Array, numbers: list[TrialNumber]) -> list[TrialNumber]:
    """By rank of non-domination, then by the sum of places in the columns, then by number."""
    if not numbers:
        return []
    ranks = moocore.pareto_rank(rows)
    sums = sum(_places(column) for column in rows.T)
    order = np.lexsort((np.asarray(numbers), np.asarray(sums), ranks))
    return [numbers[at] for at in order.tolist()]
