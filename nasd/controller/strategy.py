"""The strategy of a study, with all that it may know: costs known ahead, limits, ranges, the scalar."""

from __future__ import annotations

from collections.abc import Mapping

from nasd.controller.objectives import history_limits, history_objectives, scalar_terms, wanted_ranges
from nasd.domain.architecture import Architecture
from nasd.domain.space import SearchSpace
from nasd.domain.study import StudySpec
from nasd.strategies.base import Costs, SearchStrategy, Setting, nothing_known
from nasd.strategies.view import build_view


def build_strategy(
    spec: StudySpec, space: SearchSpace, *, counts: Costs = nothing_known, declared: Costs = nothing_known
) -> SearchStrategy:
    """The strategy that the study names, fresh.

    Args:
        counts: exact counts where the space knows them ahead.
        declared: what the user's own function knows ahead.

    Raises:
        UserError: no such strategy.
    """
    setting = Setting(
        space=space,
        objectives=history_objectives(spec),
        limits=history_limits(spec),
        costs=known_ahead(counts, declared),
        preference=wanted_ranges(spec),
    )
    return build_view(spec.strategy, setting, terms=scalar_terms(spec))


def known_ahead(counts: Costs, declared: Costs) -> Costs:
    """Both side by side."""
    if declared is nothing_known:
        return counts
    if counts is nothing_known:
        return declared

    def both(architecture: Architecture) -> Mapping[str, float]:
        return {**counts(architecture), **declared(architecture)}

    return both
