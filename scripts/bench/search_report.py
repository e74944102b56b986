"""The report: Markdown tables from finished runs, for docs/strategies.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan

import numpy as np
from search_records import Results
from search_runs import UTILISATION
from search_statistics import (
    ALPHA,
    MARGIN,
    Interval,
    arrival,
    interval,
    median,
    p_above,
    verdict,
)

from nasd.simulator.comparison import holm

POINTS = (50, 100, 200)
TESTED_AT = 100
SHARES = (0.95, 0.99)
BASE = "optuna-nsga2"  # 95 % in at most half of its evaluations


@dataclass(frozen=True, slots=True)
class Comparison:
    """A champion against one rival on one problem, paired by seed."""

    problem: str
    rival: str
    difference: Interval
    p_ahead: float
    p_not_behind: float


def report(found: Results, *, champion: str, trials: int) -> str:
    """All tables.

    Args:
        champion: whom the tests are about.
        trials: evaluations of a run: an arrival beyond them counts as never.
    """
    compared = comparisons(found, champion)
    parts = [_preamble(found, champion, trials)]
    for problem in sorted(found.curves):
        parts += [f"### {problem}", _hypervolumes(found, problem, trials), _arrivals(found, problem, champion, trials)]
        parts.append(_tests([each for each in compared if each.problem == problem], champion))
    parts += ["### All problems", _summary(compared, champion), "### Speed", _speeds(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def comparisons(found: Results, champion: str) -> list[Comparison]:
    """Of every rival on every problem, on the seeds that both have; p-values are Holm's, over all of them."""
    pairs = []
    for problem, strategies in sorted(found.curves.items()):
        if champion not in strategies:
            continue
        mine = found.at(problem, champion, TESTED_AT)
        for rival in strategies:
            theirs = found.at(problem, rival, TESTED_AT)
            seeds = sorted(mine.keys() & theirs.keys())
            if rival != champion and seeds:
                pairs.append((problem, rival, np.array([mine[seed] - theirs[seed] for seed in seeds])))
    ahead = holm([p_above(differences, 0.0) for _, _, differences in pairs])
    not_behind = holm([p_above(differences, -MARGIN) for _, _, differences in pairs])
    return [
        Comparison(problem, rival, interval(differences), p_ahead, p_not_behind)
        for (problem, rival, differences), p_ahead, p_not_behind in zip(pairs, ahead, not_behind, strict=True)
    ]


def _preamble(found: Results, champion: str, trials: int) -> str:
    stale = (
        f" {found.n_stale} runs of older versions, or scored in other boxes, were left out." if found.n_stale else ""
    )
    return (
        f"Runs of {trials} evaluations on 8 unequal workers. Hypervolume of the true values of everything evaluated "
        f"so far, over that of the true (lawA, lawB: best known) front; mean and 95 % interval. Evaluations to a "
        f"share: medians over seeds, a run that never arrives counts as infinite. Tests: {champion} minus rival after "
        f"{TESTED_AT} evaluations, paired by seed, one-sided t, Holm-corrected over all comparisons below. "
        f'"ahead by >= {MARGIN:g}": the mean difference is, and above 0 at {ALPHA:g}; "not behind by more than '
        f'{MARGIN:g}": a deficit of that much is rejected at {ALPHA:g}. lawA and lawB are synthetic.{stale}'
    )


def _hypervolumes(found: Results, problem: str, trials: int) -> str:
    points = [n for n in POINTS if n <= trials] or [trials]
    rows = []
    for strategy in _ordered(found, problem, min(TESTED_AT, trials)):
        at = [interval(list(found.at(problem, strategy, n).values())) for n in points]
        rows.append([strategy, str(at[0].n), *(_shown(each) for each in at)])
    return _table(["strategy", "seeds", *(f"after {n}" for n in points)], rows)


def _ordered(found: Results, problem: str, n: int) -> list[str]:
    """Best first; those without a run that long last."""
    means = {each: interval(list(found.at(problem, each, n).values())).mean for each in found.curves[problem]}
    return sorted(means, key=lambda each: -means[each] if isfinite(means[each]) else inf)


def _arrivals(found: Results, problem: str, champion: str, trials: int) -> str:
    """Of strategies that have whole runs."""
    medians = {
        strategy: [median([arrival(curve, share) for curve in curves]) for share in SHARES]
        for strategy in found.curves[problem]
        if (curves := found.whole(problem, strategy, trials))
    }
    if not medians:
        return ""
    mine = medians.get(champion, [nan, nan])
    rows = []
    for strategy, counts in sorted(medians.items(), key=lambda item: (item[1][::-1], item[0])):
        ratios = ["" if strategy == champion else _ratio(m, n, trials) for m, n in zip(mine, counts, strict=True)]
        rows.append([strategy, *(_count(n, trials) for n in counts), *ratios])
    shares = [f"{share:.0%}".replace("%", " %") for share in SHARES]
    heads = ["strategy", *(f"to {each}" for each in shares), *(f"{champion} / it, {each}" for each in shares)]
    return _table(heads, rows) + _goals(medians, champion, trials)


def _goals(medians: dict[str, list[float]], champion: str, trials: int) -> str:
    """Half the evaluations of the best rival to 99 %, half of Optuna's NSGA-II's to 95 %."""
    rivals = {name: counts for name, counts in medians.items() if name != champion}
    if champion not in medians or not rivals:
        return ""
    best = min(rivals, key=lambda name: (rivals[name][1], rivals[name][0]))
    lines = [f"99 %: {champion} / best rival ({best}): {_ratio(medians[champion][1], rivals[best][1], trials)}"]
    if BASE in rivals:
        lines.append(f"95 %: {champion} / {BASE}: {_ratio(medians[champion][0], rivals[BASE][0], trials)}")
    return "\n\n" + "; ".join(lines) + "."


def _tests(compared: Sequence[Comparison], champion: str) -> str:
    rows = [
        [
            each.rival,
            str(each.difference.n),
            _shown(each.difference, sign=True),
            _p(each.p_ahead),
            _p(each.p_not_behind),
            _verdict(each),
        ]
        for each in sorted(compared, key=lambda each: each.difference.mean)
    ]
    heads = ["rival", "pairs", f"{champion} minus it", "p (not ahead)", f"p (behind by {MARGIN:g})", f"{champion} is"]
    return _table(heads, rows) if rows else ""


def _summary(compared: Sequence[Comparison], champion: str) -> str:
    rows = []
    for rival in dict.fromkeys(each.rival for each in compared):
        verdicts = [_verdict(each) for each in compared if each.rival == rival]
        ahead = sum(each.startswith("ahead") for each in verdicts)
        level = sum(each.startswith("not behind") for each in verdicts)
        mean = float(np.mean([each.difference.mean for each in compared if each.rival == rival]))
        n = len(verdicts)
        rows.append([rival, f"{ahead} of {n}", f"{level} of {n}", f"{n - ahead - level} of {n}", f"{mean:+.4f}"])
    heads = ["rival", f"ahead by >= {MARGIN:g}", f"not behind by more than {MARGIN:g}", "neither", "mean difference"]
    return _table(heads, rows) if rows else f"No runs of {champion} beside rivals."


def _speeds(found: Results) -> str:
    rows = []
    for strategy, records in sorted(found.speeds.items()):
        charged = [each["utilisation"] for each in records if each["mode"] == UTILISATION]
        asks = [each["ask_ms"] for each in records]
        rows.append(
            [
                strategy,
                f"{min(charged):.4f} ({len(charged)} runs)" if charged else "",
                f"{median([each['median'] for each in asks]):.2f}",
                f"{median([each['p99'] for each in asks]):.1f}",
                f"{max(each['max'] for each in asks):.0f}",
            ]
        )
    heads = ["strategy", "worst utilisation, asks charged", "ask median, ms", "ask p99, ms (median run)", "ask max, ms"]
    return _table(heads, rows)


def _verdict(each: Comparison) -> str:
    return verdict(each.difference, p_ahead=each.p_ahead, p_not_behind=each.p_not_behind)


def _shown(each: Interval, *, sign: bool = False) -> str:
    mean = f"{each.mean:+.4f}" if sign else f"{each.mean:.4f}"
    if not isfinite(each.low):
        return mean if each.n else ""
    return f"{mean} [{each.low:+.4f}, {each.high:+.4f}]" if sign else f"{mean} ± {each.high - each.mean:.4f}"


def _p(value: float) -> str:
    return "" if not isfinite(value) else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _count(n: float, trials: int) -> str:
    return f"> {trials}" if n == inf else f"{n:g}"


def _ratio(mine: float, theirs: float, trials: int) -> str:
    """Where only one never arrives, the ratio is beyond what it would be at the last evaluation."""
    if not isfinite(mine):
        return "neither arrives" if theirs == inf else f"> {trials / theirs:.2f}"
    return f"< {mine / trials:.2f}" if theirs == inf else f"{mine / theirs:.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(_lines(heads, rows))


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
