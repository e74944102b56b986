"""Search strategies: proposals from history. Floor 2: domain, numpy, pymoo, moocore; no I/O."""

from __future__ import annotations

from collections.abc import Callable

from nasd.domain.study import StrategySpec
from nasd.errors import NotBuiltYet, UserError
from nasd.strategies.base import SearchStrategy, Setting

__all__ = ["KNOWN", "build"]


def _random(spec: StrategySpec, setting: Setting) -> SearchStrategy:
    from nasd.strategies.random import RandomSearch

    return RandomSearch(setting.space, stratified=spec.stratified)


def _nsga2(spec: StrategySpec, setting: Setting) -> SearchStrategy:
    from nasd.strategies.nsga2 import Nsga2  # pymoo takes 0.3 s to import; commands that only read don't pay it

    return Nsga2(setting.space, setting.objectives, population=spec.population, mutation_only=spec.mutation_only)


Builder = Callable[[StrategySpec, Setting], SearchStrategy]

_BUILDERS: dict[str, Builder] = {"nsga2": _nsga2, "random": _random}
_PLANNED = frozenset({"aging-evolution", "gp", "local-search", "reinforce", "screened", "sms-emoa", "tpe"})

KNOWN = tuple(sorted(_BUILDERS))


def build(spec: StrategySpec, setting: Setting) -> SearchStrategy:
    """The strategy that a study file names, fresh.

    Raises:
        NotBuiltYet: a strategy that a later version will have.
        UserError: no such strategy.
    """
    builder = _BUILDERS.get(spec.use)
    if builder is not None:
        return builder(spec, setting)
    known = ", ".join(KNOWN)
    if spec.use in _PLANNED:
        raise NotBuiltYet(f'strategy.use = "{spec.use}": planned, but not in this version; use one of: {known}')
    raise UserError(f'strategy.use = "{spec.use}": no such strategy; known: {known}')
