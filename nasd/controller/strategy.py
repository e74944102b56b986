"""The strategy of a study, with all that it may know: costs known ahead, limits, ranges, the scalar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nasd.controller.kinds import Kinds, kinds_of
from nasd.controller.objectives import device_limits, history_limits, scalar_terms, wanted_ranges
from nasd.domain.architecture import Architecture
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.space import SearchSpace
from nasd.domain.study import StudySpec
from nasd.strategies.base import Costs, SearchStrategy, Setting, nothing_known
from nasd.strategies.by_kind import ByKind, KindStrategy, shown_name
from nasd.strategies.view import build_view


def build_strategy(
    spec: StudySpec,
    space: SearchSpace,
    *,
    kinds: Kinds | None = None,
    counts: Costs = nothing_known,
    declared: Costs = nothing_known,
) -> SearchStrategy:
    """The strategy that the study names, fresh; one a device kind where there is more than this machine.

    Args:
        kinds: that it serves, and since when; None: all of the study, from its first trial on.
        counts: exact counts where the space knows them ahead.
        declared: what the user's own function knows ahead.

    Raises:
        UserError: no such strategy.
    """
    kinds = kinds or kinds_of(spec, {})
    costs = known_ahead(counts, declared)
    served = [kind for kind in kinds.all if kind in kinds.since]
    parts = [_for_kind(spec, space, kinds, kind, costs=costs) for kind in served]
    if len(parts) == 1 and parts[0].kind == LOCAL and not parts[0].limits and not parts[0].is_measured:
        return parts[0].strategy  # it sees the study as it is
    return ByKind(parts)


def _for_kind(spec: StudySpec, space: SearchSpace, kinds: Kinds, kind: DeviceKind, *, costs: Costs) -> KindStrategy:
    of_trials, own = history_limits(spec, kinds.founding), device_limits(spec, kind, kinds.founding)
    setting = Setting(
        space=space,
        objectives=spec.objectives_on(kind),
        limits=tuple(replace(limit, of=shown_name(limit.of, kind)) for limit in (*of_trials, *own)),
        costs=costs,
        preference=wanted_ranges(spec, kind),
    )
    return KindStrategy(
        kind=kind,
        strategy=build_view(spec.strategy, setting, terms=scalar_terms(spec, kind)),
        objectives=setting.objectives,
        limits=own,
        since=kinds.since[kind],
    )


def known_ahead(counts: Costs, declared: Costs) -> Costs:
    """Both side by side."""
    if declared is nothing_known:
        return counts
    if counts is nothing_known:
        return declared

    def both(architecture: Architecture) -> Mapping[str, float]:
        return {**counts(architecture), **declared(architecture)}

    return both
