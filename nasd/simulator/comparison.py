"""Several strategies on common seeds: means with their spread, paired sign tests, fleet and planner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb, isfinite, isnan, nan

import numpy as np

from nasd.domain.study import BudgetSpec
from nasd.simulator.run import Run
from nasd.simulator.scores import Curve, Yardstick, curve_of

CHECKPOINTS = (50, 100, 200, 500)
SHARES = (0.90, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one figure over the seeds.

    Attributes:
        mean, sd: over the seeds where it is finite; None where there is none (sd: fewer than two).
        median: over all seeds, where one that never arrives counts as infinite; None: infinite.
        n: seeds where it is finite.
    """

    mean: float | None
    sd: float | None
    median: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        finite = [value for value in values if isfinite(value)]
        median = _median(values)
        return cls(
            mean=float(np.mean(finite)) if finite else None,
            sd=float(np.std(finite, ddof=1)) if len(finite) > 1 else None,
            median=median if isfinite(median) else None,
            n=len(finite),
        )


@dataclass(frozen=True, slots=True)
class Sign:
    """A paired sign test of a strategy against the first named, at one number of evaluations.

    Attributes:
        better, worse: seeds on which the first named scored higher or lower; equal ones are left out.
        p: two-sided.
        p_holm: the same, corrected for all rivals at this number of evaluations.
    """

    better: int
    worse: int
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One strategy over all seeds.

    Attributes:
        hypervolume: evaluations -> share of the best known.
        evaluations, hours: share of the best known -> what it took.
        ask_median_s, ask_p99_s: real seconds of a proposal; None where there was none.
    """

    strategy: str
    hypervolume: Mapping[int, Spread]
    evaluations: Mapping[float, Spread]
    hours: Mapping[float, Spread]
    against_first: Mapping[int, Sign]
    utilisation: float
    ask_median_s: float | None
    ask_p99_s: float | None
    wall_hours: Spread
    ended: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What `nasd simulate` prints."""

    study: str
    seeds: tuple[int, ...]
    best: float
    best_source: str
    standings: tuple[Standing, ...]


def checkpoints(budget: BudgetSpec, curves: Sequence[Curve]) -> tuple[int, ...]:
    """The usual numbers of evaluations that fit the budget, and its end where none or another one does."""
    most = budget.trials or max((len(curve.share) for curve in curves), default=0)
    within = [n for n in CHECKPOINTS if n <= most]
    return tuple(within) if within and within[-1] == most else (*within, most)


def compare(
    study: str,
    runs: Mapping[str, Sequence[Run]],
    yardstick: Yardstick,
    *,
    seeds: Sequence[int],
    budget: BudgetSpec,
) -> tuple[Comparison, dict[str, tuple[Curve, ...]]]:
    """The figures, and the curves that they were read from.

    Args:
        runs: strategy -> one run for each of `seeds`, the strategy that others are tested against first.
    """
    curves = {name: tuple(curve_of(run, yardstick) for run in each) for name, each in runs.items()}
    at = checkpoints(budget, [curve for each in curves.values() for curve in each])
    first, *rivals = runs
    tests = {n: _tests(curves, first, rivals, n) for n in at}
    standings = tuple(
        _standing(name, each, curves[name], at, {n: tests[n][name] for n in at if name in tests[n]})
        for name, each in runs.items()
    )
    comparison = Comparison(
        study=study,
        seeds=tuple(seeds),
        best=yardstick.best,
        best_source=yardstick.source,
        standings=standings,
    )
    return comparison, curves


def sign_test(differences: Sequence[float]) -> tuple[int, int, float]:
    """(positive, negative, two-sided p); zeros are left out, and nothing left gives p = 1.

    Source: Dixon and Mood 1946, The statistical sign test.
    """
    better = sum(each > 0 for each in differences)
    worse = sum(each < 0 for each in differences)
    n = better + worse
    tail = sum(comb(n, k) for k in range(min(better, worse) + 1)) / 2**n
    return better, worse, min(1.0, 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given; a NaN stays one and counts for no comparison.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    known = sorted((p, at) for at, p in enumerate(p_values) if not isnan(p))
    adjusted = [nan] * len(p_values)
    largest = 0.0
    for rank, (p, at) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[at] = largest
    return adjusted


def _tests(curves: Mapping[str, Sequence[Curve]], first: str, rivals: Sequence[str], n: int) -> dict[str, Sign]:
    signs = [
        sign_test([one.at(n) - other.at(n) for one, other in zip(curves[first], curves[name], strict=True)])
        for name in rivals
    ]
    corrected = holm([p for _, _, p in signs])
    return {
        name: Sign(better, worse, p, p_holm)
        for name, (better, worse, p), p_holm in zip(rivals, signs, corrected, strict=True)
    }


def _standing(
    name: str, runs: Sequence[Run], curves: Sequence[Curve], at: Sequence[int], tests: Mapping[int, Sign]
) -> Standing:
    reached = {share: [curve.reaches(share) for curve in curves] for share in SHARES}
    asks = np.concatenate([np.asarray(run.ask_s) for run in runs])
    return Standing(
        strategy=name,
        hypervolume={n: Spread.of([curve.at(n) for curve in curves]) for n in at},
        evaluations={share: Spread.of([n for n, _ in pairs]) for share, pairs in reached.items()},
        hours={share: Spread.of([hours for _, hours in pairs]) for share, pairs in reached.items()},
        against_first=tests,
        utilisation=float(np.mean([run.utilisation for run in runs])),
        ask_median_s=float(np.median(asks)) if len(asks) else None,
        ask_p99_s=float(np.quantile(asks, 0.99)) if len(asks) else None,
        wall_hours=Spread.of([run.wall_s / 3600 for run in runs]),
        ended=tuple(dict.fromkeys(run.ended for run in runs)),
    )


def _median(values: Sequence[float]) -> float:
    """Of a list that may hold infinities; the worse of the two in the middle."""
    return sorted(values)[len(values) // 2]
