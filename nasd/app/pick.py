"""Which member of a front to ship: the best under the limits, what can't be told from it, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt
from typing import TYPE_CHECKING

from nasd.app.candidates import Bound, Candidate, Estimate, noise_of
from nasd.errors import UserError

if TYPE_CHECKING:
    from nasd.store.view_rows import ObjectiveColumn

KNEE = "knee"  # what the choice is by where nobody says what matters


@dataclass(frozen=True, slots=True)
class Rival:
    """Another candidate, and how much worse it is.

    Attributes:
        behind: the difference in what the choice is by, never negative.
        noise: what the difference has to exceed to mean something; None where a spread is unknown.
    """

    candidate: Candidate
    behind: float
    noise: float | None

    @property
    def is_level(self) -> bool:
        """Whether it can't be told from the choice."""
        return self.behind == 0 or (self.noise is not None and self.behind <= self.noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The answer.

    Attributes:
        by: the objective that it is best in, or KNEE.
        rivals: all the others that keep the limits, the nearest first.
        cheaper: of the level ones the one that is best in everything else, where that is not the choice itself.
        n_members: of the front.
        unknown: trials whose limited quantity is not known.
        doubtful: limits that the choice keeps by less than its spread.
    """

    candidate: Candidate
    by: str
    score: float
    rivals: tuple[Rival, ...]
    cheaper: Candidate | None
    n_members: int
    unknown: tuple[int, ...]
    doubtful: tuple[Bound, ...]

    @property
    def level(self) -> tuple[Rival, ...]:
        """Those that can't be told from the choice."""
        return tuple(rival for rival in self.rivals if rival.is_level)


def pick(
    members: Sequence[Candidate],
    objectives: Sequence[ObjectiveColumn],
    *,
    bounds: Sequence[Bound] = (),
    prefer: str | None = None,
) -> Choice:
    """The best member under the bounds.

    Without `prefer` the choice is by the first objective that has no bound; where nothing is asked for, it is the knee.

    Raises:
        UserError: an unknown name, an empty front, or bounds that no member keeps (it says what the nearest offers).
    """
    if not members:
        raise UserError("this front has no members yet: ask again when trials have finished")
    _check_names(members, objectives, bounds, prefer)
    names = {bound.name for bound in bounds}
    known = [each for each in members if names <= each.values.keys()]
    keeping = [each for each in known if not _overshoot(each, bounds)]
    if not keeping:
        raise UserError(_impossible(known, objectives, bounds))
    by = _criterion(objectives, bounds, prefer)
    scale = Scale.of(members, objectives)
    first, *others = sorted(keeping, key=lambda each: (_score(each, by, scale), scale.distance(each), each.trial))
    rivals = tuple(_rival(each, first, by, scale) for each in others)
    return Choice(
        candidate=first,
        by=by,
        score=_score(first, by, scale),
        rivals=rivals,
        cheaper=_cheaper(first, rivals, by, scale),
        n_members=len(members),
        unknown=tuple(each.trial for each in members if each not in known),
        doubtful=tuple(bound for bound in bounds if _is_doubtful(first.values[bound.name], bound)),
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """Each objective from 0 (the front's best) to 1 (its worst), by its logarithm where it spans decades.

    Attributes:
        spans: objective -> (best, worst, whether by logarithm), as losses.
    """

    spans: Mapping[str, tuple[float, float, bool]]
    signs: Mapping[str, int]

    @classmethod
    def of(cls, members: Sequence[Candidate], objectives: Sequence[ObjectiveColumn]) -> Scale:
        """The scale of one front."""
        spans, signs = {}, {}
        for objective in objectives:
            values = [each.values[objective.name].value for each in members]
            is_log = objective.is_log and min(values) > 0
            sign = signs[objective.name] = -1 if objective.is_maximised else 1
            losses = [sign * (log(value) if is_log else value) for value in values]
            spans[objective.name] = (min(losses), max(losses), is_log)
        return cls(spans, signs)

    def place(self, candidate: Candidate, name: str) -> float:
        """Where it stands in one objective; 0.0 where all members are equal."""
        best, worst, is_log = self.spans[name]
        value = candidate.values[name].value
        return (self.signs[name] * (log(value) if is_log else value) - best) / (worst - best) if worst > best else 0.0

    def spread(self, candidate: Candidate, name: str) -> float | None:
        """The noise of `place`; None where it is unknown."""
        best, worst, is_log = self.spans[name]
        estimate, noise = candidate.values[name], noise_of(candidate, name)
        if noise is None:
            return None
        if worst == best:
            return 0.0
        return noise / (worst - best) / (estimate.value if is_log else 1.0)

    def distance(self, candidate: Candidate, *, leave_out: str | None = None) -> float:
        """From the ideal, which is best in everything; the member with the least is the knee.

        Source: Yu 1973, A class of solutions for group decision problems (compromise solution, Euclidean).
        """
        return sqrt(sum(self.place(candidate, name) ** 2 for name in self.spans if name != leave_out))

    def distance_noise(self, candidate: Candidate) -> float | None:
        """How far noise in the values moves `distance`, to first order; None where a spread is unknown."""
        whole, total = self.distance(candidate), 0.0
        for name in self.spans:
            spread = self.spread(candidate, name)
            if spread is None:
                return None
            total += ((self.place(candidate, name) / whole if whole else 1.0) * spread) ** 2
        return sqrt(total)


def _check_names(
    members: Sequence[Candidate], objectives: Sequence[ObjectiveColumn], bounds: Sequence[Bound], prefer: str | None
) -> None:
    own = [objective.name for objective in objectives]
    known = sorted({name for each in members for name in each.values})
    for bound in bounds:
        if bound.name not in known:
            raise UserError(f'--limit "{bound.name}": nothing is known of it here; known: {", ".join(known)}')
    if prefer is not None and prefer not in own:
        raise UserError(f'--prefer "{prefer}": is no objective of this front; known: {", ".join(own)}')


def _criterion(objectives: Sequence[ObjectiveColumn], bounds: Sequence[Bound], prefer: str | None) -> str:
    if prefer is not None:
        return prefer
    if not bounds:
        return KNEE
    limited = {bound.name for bound in bounds}
    free = [objective.name for objective in objectives if objective.name not in limited]
    return free[0] if free else objectives[0].name


def _score(candidate: Candidate, by: str, scale: Scale) -> float:
    """Less is better."""
    return scale.distance(candidate) if by == KNEE else scale.signs[by] * candidate.values[by].value


def _rival(candidate: Candidate, first: Candidate, by: str, scale: Scale) -> Rival:
    behind = _score(candidate, by, scale) - _score(first, by, scale)
    noises = [scale.distance_noise(each) if by == KNEE else noise_of(each, by) for each in (candidate, first)]
    known = [noise for noise in noises if noise is not None]
    return Rival(candidate, behind, sqrt(sum(noise**2 for noise in known)) if len(known) == len(noises) else None)


def _cheaper(first: Candidate, rivals: Sequence[Rival], by: str, scale: Scale) -> Candidate | None:
    leave_out = None if by == KNEE else by
    level = [first, *(rival.candidate for rival in rivals if rival.is_level)]
    best = min(level, key=lambda each: (scale.distance(each, leave_out=leave_out), each.trial))
    return None if best is first else best


def _overshoot(candidate: Candidate, bounds: Sequence[Bound]) -> float:
    return sum(bound.overshoot(candidate.values[bound.name].value) for bound in bounds)


def _is_doubtful(estimate: Estimate, bound: Bound) -> bool:
    return bool(estimate.spread) and abs(estimate.value - bound.value) < (estimate.spread or 0.0)


def _impossible(known: Sequence[Candidate], objectives: Sequence[ObjectiveColumn], bounds: Sequence[Bound]) -> str:
    asked = " and ".join(map(str, bounds))
    if not known:
        return f"no member keeps {asked}: of none is that known. Measure it first"
    nearest = min(known, key=lambda each: (_overshoot(each, bounds), each.trial))
    names = dict.fromkeys([*(bound.name for bound in bounds), *(objective.name for objective in objectives)])
    offers = ", ".join(f"{name} {_plain(nearest.values[name].value)}" for name in names if name in nearest.values)
    return f"no member keeps {asked}; the nearest is trial {nearest.trial}: {offers}. Ask for less, or search on"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"
