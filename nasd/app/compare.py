"""How much device kinds differ: whether what is fast on one is fast on another, and whether size says it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from math import hypot, isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasd.store.view_rows import ObjectiveColumn

Row = Mapping[str, object]
SIZES = ("params", "flops")
FEWEST = 10  # common trials: below, a rank correlation says nothing (n = 10: |tau| up to 0.51 is chance, 1 in 20)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rank correlation of two columns over the `n` trials that have both; None where it is not defined."""

    n: int
    kendall: float | None
    spearman: float | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kinds: how their latencies rank the common trials, and what their fronts share.

    Attributes:
        shared: members of both fronts.
        jaccard: shared over all members of either; None where both fronts are empty.
    """

    kinds: tuple[str, str]
    latency: Agreement
    shared: tuple[int, ...]
    jaccard: float | None


@dataclass(frozen=True, slots=True)
class Fallen:
    """A member of `of`'s front that `on` has figures of and that is not on `on`'s front.

    Attributes:
        beaten_by: the members of `on`'s front that beat it there; empty where a limit keeps it off.
        is_clear: one of them is slower than it on `of` and faster on `on`, both by more than their spreads: the devices
            disagree, it is not the noise of measuring.
    """

    trial: int
    of: str
    on: str
    beaten_by: tuple[int, ...]
    is_clear: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceComparison:
    """The hardware-mismatch evidence of one study.

    Attributes:
        measured: kind -> trials with a latency there.
        fronts: kind -> members.
        sizes: kind -> size (`params`, `flops`) -> how it ranks the trials against latency there.
        unknown: (of, on) -> members of `of`'s front that were not measured on `on`.
    """

    measured: Mapping[str, int]
    fronts: Mapping[str, tuple[int, ...]]
    pairs: tuple[Pair, ...]
    sizes: Mapping[str, Mapping[str, Agreement]]
    fallen: tuple[Fallen, ...]
    unknown: Mapping[tuple[str, str], tuple[int, ...]]

    def too_alike(self, max_tau: float) -> list[str]:
        """Why some pair of kinds can't be said to differ, a sentence each; empty where all do."""
        return [said for pair in self.pairs if (said := _alike(pair, max_tau)) is not None]


def compare_devices(
    rows: Sequence[Row], kinds: Sequence[str], columns: Mapping[str, Sequence[ObjectiveColumn]]
) -> DeviceComparison:
    """Compare all kinds with each other.

    Args:
        rows: of the view `device_trials`.
        columns: kind -> the objectives of its front.
    """
    known = {kind: {_trial(row): row for row in rows if row["device_kind"] == kind} for kind in kinds}
    latency = {kind: _numbers(known[kind], "latency_ms") for kind in kinds}
    fronts = {kind: tuple(sorted(trial for trial, row in known[kind].items() if row["on_front"])) for kind in kinds}
    figures = {kind: _figures(known[kind], kind, columns[kind]) for kind in kinds}
    fallen, unknown = _fallen(fronts, figures, known)
    return DeviceComparison(
        measured={kind: len(latency[kind]) for kind in kinds},
        fronts=fronts,
        pairs=tuple(_pair(one, other, latency, fronts) for one, other in combinations(kinds, 2)),
        sizes={kind: {size: agreement(_numbers(known[kind], size), latency[kind]) for size in SIZES} for kind in kinds},
        fallen=fallen,
        unknown=unknown,
    )


def agreement(one: Mapping[int, float], other: Mapping[int, float]) -> Agreement:
    """Kendall's tau-b (ties count half) and Spearman's rho over the trials that both know.

    Source: Kendall 1945, The treatment of ties in ranking problems; the arithmetic is scipy's.
    """
    import numpy as np
    from scipy.stats import kendalltau, spearmanr

    common = sorted(one.keys() & other.keys())
    x, y = [one[trial] for trial in common], [other[trial] for trial in common]
    if len(set(x)) < 2 or len(set(y)) < 2:
        return Agreement(len(common), None, None)
    with np.errstate(all="ignore"):
        found = float(kendalltau(x, y).statistic), float(spearmanr(x, y).statistic)
    tau, rho = (None if isnan(value) else value for value in found)
    return Agreement(len(common), tau, rho)


def _alike(pair: Pair, max_tau: float) -> str | None:
    one, other = pair.kinds
    if pair.latency.n < FEWEST or pair.latency.kendall is None:
        return f"{one} and {other}: {pair.latency.n} common trials say nothing yet; {FEWEST} are the fewest"
    if pair.latency.kendall > max_tau:
        said = f"Kendall tau {pair.latency.kendall:.3f} over {pair.latency.n} common trials"
        return f"{one} and {other} hardly differ: {said}, above {max_tau:g}"
    return None


def _pair(
    one: str, other: str, latency: Mapping[str, Mapping[int, float]], fronts: Mapping[str, tuple[int, ...]]
) -> Pair:
    shared, either = set(fronts[one]) & set(fronts[other]), set(fronts[one]) | set(fronts[other])
    return Pair(
        kinds=(one, other),
        latency=agreement(latency[one], latency[other]),
        shared=tuple(sorted(shared)),
        jaccard=len(shared) / len(either) if either else None,
    )


def _fallen(
    fronts: Mapping[str, tuple[int, ...]],
    figures: Mapping[str, Mapping[int, tuple[float, ...]]],
    known: Mapping[str, Mapping[int, Row]],
) -> tuple[tuple[Fallen, ...], dict[tuple[str, str], tuple[int, ...]]]:
    fallen, unknown = [], {}
    for of, on in permutations(fronts, 2):
        there = figures[on]
        off = [trial for trial in fronts[of] if trial not in fronts[on]]
        unknown[of, on] = tuple(trial for trial in off if trial not in there)
        for trial in off:
            if trial in there:
                beaten_by = tuple(each for each in fronts[on] if _beats(there.get(each), there[trial]))
                is_clear = any(
                    _is_faster(known[of], trial, by) and _is_faster(known[on], by, trial) for by in beaten_by
                )
                fallen.append(Fallen(trial, of, on, beaten_by, is_clear))
    return tuple(fallen), unknown


def _is_faster(rows: Mapping[int, Row], one: int, other: int) -> bool:
    """Whether `one` is faster there by more than the two spreads together."""
    numbers = [_number(rows[trial], name) for name in ("latency_ms", "latency_spread") for trial in (one, other)]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return False
    mine, its, spread, its_spread = known
    return its - mine > hypot(spread, its_spread)


def _beats(one: tuple[float, ...] | None, other: tuple[float, ...]) -> bool:
    return one is not None and one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _figures(rows: Mapping[int, Row], kind: str, columns: Sequence[ObjectiveColumn]) -> dict[int, tuple[float, ...]]:
    """Trial -> its losses on `kind`, of those that have them all."""
    figures = {}
    for trial, row in rows.items():
        values = [(column.entry(row["objectives"], kind) or {}).get("value") for column in columns]
        losses = [
            -float(value) if column.is_maximised else float(value)
            for column, value in zip(columns, values, strict=True)
            if isinstance(value, int | float)
        ]
        if len(losses) == len(columns):
            figures[trial] = tuple(losses)
    return figures


def _numbers(rows: Mapping[int, Row], name: str) -> dict[int, float]:
    return {trial: value for trial, row in rows.items() if (value := _number(row, name)) is not None}


def _number(row: Row, name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None


def _trial(row: Row) -> int:
    trial = row["trial"]
    assert isinstance(trial, int)
    return trial
