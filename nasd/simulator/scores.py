"""How good runs are: one box and one best known hypervolume for every strategy and seed alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from nasd.controller.objectives import history_limits, history_objectives
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.objective import Limit, Objective, violation
from nasd.domain.pareto import Front
from nasd.domain.scoring import Bounds, ScoringBox, hypervolume
from nasd.domain.study import StudySpec
from nasd.errors import UserError
from nasd.simulator.run import Run, TrialRow
from nasd.simulator.tables import Table

Losses = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What runs are measured against.

    Attributes:
        best: the best hypervolume known, in `box`; above 0.
        source: whose that is, in words.
        values: of a trial, as scored: a table answers with the runs that were not told.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...]
    box: ScoringBox
    best: float
    source: str
    values: Callable[[TrialRow], Mapping[str, float]]

    def losses(self, row: TrialRow) -> Losses | None:
        """(m,) scored; None where the trial is infeasible or not complete."""
        if row.state is not State.COMPLETED or violation(self.limits, row.values) > 0:
            return None
        found = _losses(self.objectives, self.values(row))
        return found if np.isfinite(found).all() else None

    def front(self, run: Run) -> Losses:
        """(n, m): what none of the run's trials beats."""
        front = Front(len(self.objectives))
        for row in run.learned():
            if (losses := self.losses(row)) is not None:
                front.insert(TrialNumber(row.number), losses)
        return front.losses()


@dataclass(frozen=True, slots=True)
class Curve:
    """A run's hypervolume as its results came in.

    Attributes:
        share: (n,) of the best known, after each charged trial in learned order; never falls.
        finished_at_s: (n,) virtual seconds.
    """

    share: NDArray[np.float64]
    finished_at_s: NDArray[np.float64]

    def at(self, n_evaluations: int) -> float:
        """The share after so many; after fewer, where the study ended before (its space was used up)."""
        return float(self.share[min(n_evaluations, len(self.share)) - 1]) if len(self.share) else 0.0

    def reaches(self, share: float) -> tuple[float, float]:
        """(evaluations, virtual hours) until `share` of the best known; infinite where it never arrives."""
        there = np.flatnonzero(self.share >= share)
        if len(there) == 0:
            return inf, inf
        return float(there[0] + 1), float(self.finished_at_s[there[0]]) / 3600


def curve_of(run: Run, yardstick: Yardstick) -> Curve:
    """The run's hypervolume over its trials; FAILED ones are refunded and left out."""
    front, share, shares, times = Front(len(yardstick.objectives)), 0.0, [], []
    for row in run.learned():
        if row.state is State.FAILED:
            continue
        losses = yardstick.losses(row)
        if losses is not None and front.insert(TrialNumber(row.number), losses).entered:
            share = max(share, hypervolume(yardstick.box, front.losses()) / yardstick.best)
        shares.append(share)
        times.append(row.finished_at_s)
    return Curve(np.asarray(shares), np.maximum.accumulate(np.asarray(times)))


def table_yardstick(spec: StudySpec, table: Table, *, useful: Mapping[str, float] | None = None) -> Yardstick:
    """The table's true front, in the box from the best to the worst scored value among its useful networks.

    Without a bound of usefulness the box would be so large that everything scores alike.

    Args:
        spec: as `nasd.simulator.studies.table_spec` gives it.
        useful: quantity -> the worst value that counts; goes before the table's own.

    Raises:
        UserError: no network is useful, or all are alike in one objective.
    """
    objectives, limits = history_objectives(spec), history_limits(spec)
    networks = table.networks()
    values = [dict(zip(table.names, row, strict=True)) for row in table.scored[networks].tolist()]
    rows = np.array([_losses(objectives, each) for each in values if violation(limits, each) <= 0])
    bounds = {**table.useful, **(useful or {})}
    rows = rows.reshape(-1, len(objectives))
    kept = rows = rows[np.isfinite(rows).all(axis=1)]
    for at, objective in enumerate(objectives):
        if objective.name in bounds:
            kept = kept[kept[:, at] <= objective.sign * bounds[objective.name]]
    if len(kept) == 0:
        shown = ", ".join(f"{name} = {bound:g}" for name, bound in bounds.items())
        raise UserError(f"--useful: no network of {table.name} keeps {shown or 'the limits'}. Loosen the bound")
    box = _box(objectives, kept, stated={}, worst=bounds)
    return Yardstick(
        objectives=objectives,
        limits=limits,
        box=box,
        best=hypervolume(box, rows),  # what is just beyond a bound counts a little
        source="the table's true front",
        values=lambda row: table.scores(row.architecture),
    )


def union_yardstick(spec: StudySpec, runs: Sequence[Run], *, stated: Bounds | None = None) -> Yardstick:
    """The front of all runs together, in a box from the best to the worst value that any of them found.

    Args:
        stated: (best, worst) of objectives that have bounds of their own.

    Raises:
        UserError: nothing was completed, or all results are alike in one objective.
    """
    objectives, limits = history_objectives(spec), history_limits(spec)
    found = [
        _losses(objectives, row.values)
        for run in runs
        for row in run.trials
        if row.state is State.COMPLETED and violation(limits, row.values) <= 0
    ]
    rows = np.array(found).reshape(-1, len(objectives))
    rows = rows[np.isfinite(rows).all(axis=1)]
    if len(rows) == 0:
        raise UserError("no trial was completed within the limits, so there is nothing to compare. Loosen the limits")
    box = _box(objectives, rows, stated=stated or {}, worst={})
    best = max(hypervolume(box, rows), 1e-12)
    return Yardstick(objectives, limits, box, best, "the union of all runs", lambda row: row.values)


def _losses(objectives: Sequence[Objective], values: Mapping[str, float]) -> Losses:
    return np.array([each.sign * values.get(each.name, np.nan) for each in objectives])


def _box(objectives: Sequence[Objective], losses: Losses, *, stated: Bounds, worst: Mapping[str, float]) -> ScoringBox:
    edges = []
    for at, each in enumerate(objectives):
        low, high = float(losses[:, at].min()), float(losses[:, at].max())
        high = high if high > low else low + (abs(low) or 1.0)  # where all are alike there is still a box
        edge = (each.sign * low, worst.get(each.name, each.sign * high))
        edges.append(stated.get(each.name, edge))
    try:
        return ScoringBox(
            names=tuple(each.name for each in objectives),
            best=tuple(best for best, _ in edges),
            worst=tuple(bad for _, bad in edges),
            signs=tuple(each.sign for each in objectives),
            is_log=tuple(each.is_log and min(edge) > 0 for each, edge in zip(objectives, edges, strict=True)),
        )
    except ValueError as error:
        raise UserError(f"objectives can't be scored: {error}") from error
