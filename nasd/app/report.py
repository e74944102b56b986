"""What a finished search found, in a sentence: never one best accuracy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.objective import value_name

Row = Mapping[str, object]
REFERENCE = "medium"  # the hand-made baseline that a search has to beat
COSTS: Mapping[str, str] = {  # what a network costs -> the word for it
    "params": "parameters",
    "flops": "FLOPs",
    "latency_ms": "latency",
    "peak_memory_bytes": "memory",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A trial's figures; `error_spread` is the standard error of its validation error."""

    trial: int
    error: float
    error_spread: float
    costs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The cheapest member within one standard error of the best, against a hand-made baseline.

    Attributes:
        ratios: cost name -> the baseline's cost over the member's; above 1 the member is cheaper.
    """

    member: Member
    baseline: Member
    best: Member
    ratios: Mapping[str, float]


def compare(
    front: Sequence[Row],
    baselines: Sequence[Row],
    *,
    costs: Sequence[str],
    kind: str = LOCAL,
    reference: str = REFERENCE,
) -> Comparison | None:
    """The find worth telling of; None where there is no error objective, no front, or no finished such baseline.

    `costs` names what each network costs among the study's objectives: counts, and what was measured on `kind`.

    The one-standard-error rule: Breiman et al. 1984, Classification and Regression Trees, section 3.4.3. Among the
    members that can't be told from the best, the one with the least sum of log costs.
    """
    members = [member for row in front if (member := _member(row, costs, kind)) is not None]
    named = [
        _member(row, costs, kind)
        for row in baselines
        if row.get("baseline") == reference and row.get("state") == "completed"
    ]
    if not members or not named or named[0] is None:
        return None
    best = min(members, key=lambda m: (m.error, m.trial))
    level = [m for m in members if m.error <= best.error + best.error_spread]
    chosen = min(level, key=lambda m: (sum(log(cost) for cost in m.costs.values()), m.trial))
    ratios = {name: named[0].costs[name] / cost for name, cost in chosen.costs.items() if name in named[0].costs}
    return Comparison(member=chosen, baseline=named[0], best=best, ratios=ratios)


@dataclass(frozen=True, slots=True)
class ScalarBest:
    """The member of a front that a scalarised study is after; `value`: of its figure, greater is better."""

    trial: int
    value: float


def best_by_scalar(spec: Mapping[str, object], front: Sequence[Row]) -> ScalarBest | None:
    """The best of a front by the study's [scalar]; None where it has no such table or nothing is known in full.

    No trial off the front is better: every term favours what the front favours.

    Args:
        spec: of the study, as its row has it.
    """
    if not spec.get("scalar"):
        return None
    from nasd.controller.objectives import scalar_terms  # reading commands start quickly: most studies have none
    from nasd.domain.scalar import scalar_of
    from nasd.studyfile import spec_from_json

    terms = scalar_terms(spec_from_json(spec))
    known = [(row["trial"], scalar_of(terms, _values(row))) for row in front]
    found = [ScalarBest(trial, value) for trial, value in known if value is not None and isinstance(trial, int)]
    return max(found, key=lambda each: (each.value, -each.trial), default=None)


def _values(row: Row) -> dict[str, float]:
    objectives = row.get("objectives")
    assert isinstance(objectives, Mapping)
    return {name: float(entry["value"]) for name, entry in objectives.items()}


def sentences(comparison: Comparison, *, reference: str = REFERENCE) -> list[str]:
    """The comparison as two or three lines for a person."""
    member, baseline, best = comparison.member, comparison.baseline, comparison.best
    difference = member.error - baseline.error
    noise = (member.error_spread**2 + baseline.error_spread**2) ** 0.5
    if abs(difference) <= noise:
        verdict = "the same validation error within one standard error"
    else:
        points = f"{abs(difference) * 100:.1f} percentage points"
        verdict = f"a validation error {points} {'higher' if difference > 0 else 'lower'}"
    said = ", ".join([verdict, *(_times(name, ratio) for name, ratio in comparison.ratios.items())])
    lines = [
        f"trial {member.trial} against the hand-made {reference} baseline: {said}",
        (
            f"  error {_error(member)} against {_error(baseline)}; the lowest on the front is trial {best.trial} "
            f"with {_error(best)} (± is one standard error of one run's estimate)"
        ),
    ]
    if member.trial == baseline.trial:
        lines[0] = f"nothing on the front is cheaper than the hand-made {reference} baseline at its error"
    return lines


def _member(row: Row, costs: Sequence[str], kind: str) -> Member | None:
    objectives = row.get("objectives")
    trial = row.get("trial")
    if not isinstance(objectives, Mapping) or "val_error" not in objectives or not isinstance(trial, int):
        return None
    keys = {name: value_name(name, DeviceKind(kind)) for name in costs}
    known = {name: float(objectives[key]["value"]) for name, key in keys.items() if key in objectives}
    error = objectives["val_error"]
    return Member(
        trial=trial,
        error=float(error["value"]),
        error_spread=float(error.get("spread") or 0.0),
        costs={name: cost for name, cost in known.items() if cost > 0},
    )


def _error(member: Member) -> str:
    return f"{member.error:.2%} ± {member.error_spread:.2%}"


def _times(name: str, ratio: float) -> str:
    noun, factor = COSTS[name], max(ratio, 1 / ratio)
    less, more = {"latency": ("lower", "higher"), "memory": ("less", "more")}.get(noun, ("fewer", "more"))
    if factor < 1.05:  # would be shown as 1.0 times
        return f"about the same {noun}"
    return f"{factor:.1f} times {less if ratio >= 1 else more} {noun}"
