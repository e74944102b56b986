"""Every strategy on the spaces of the real engine, where genes exist only under conditions, and on limits."""

from __future__ import annotations

import pytest
from space_cases import SPACES
from strategy_cases import case_of, every
from strategy_checks import CONDITIONAL, gain_by_limit, search_in


@pytest.fixture(params=every())
def use(request) -> str:
    return request.param


@pytest.mark.parametrize("name", [name for names in CONDITIONAL.values() for name in names])
def test_proposals_in_conditional_spaces_are_legal_canonical_and_new(use, name):
    """A strategy that takes genes for a flat vector proposes what does not exist, or the same network twice."""
    history = search_in(use, name)

    assert len(history) == min(case_of(use).n(24), SPACES[name].space().size)


def test_the_same_rows_give_the_same_proposals_in_a_conditional_space(use):
    """Sets and hashes of genes must not decide anything."""
    first, second = (search_in(use, "custom, as in the docs", n_trials=20) for _ in range(2))

    assert [each.key for each in first.architectures] == [each.key for each in second.architectures]


def test_a_limit_leads_the_search_into_what_keeps_it(use):
    """Constrained domination, by its effect; `random` learns nothing and is the yardstick."""
    gain = gain_by_limit(use)

    assert gain == 0.0 if use.startswith("random") else gain > 0.15
