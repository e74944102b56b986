"""Search strategies: proposals from history. Floor 2: domain, numpy, pymoo, moocore; no I/O."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from nasd.domain.study import StrategySpec
from nasd.errors import NotBuiltYet, UserError
from nasd.strategies.base import SearchStrategy, Setting

__all__ = ["KNOWN", "build"]


def _random(spec: StrategySpec, setting: Setting) -> SearchStrategy:
    from nasd.strategies.random import RandomSearch

    return RandomSearch(setting.space, stratified=spec.stratified)


def _nsga2(spec: StrategySpec, setting: Setting) -> SearchStrategy:
    from nasd.strategies.nsga2 import Nsga2  # pymoo takes 0.3 s to import; commands that only read don't pay it

    return Nsga2(setting.space, setting.objectives, population=spec.n_members, mutation_only=spec.mutation_only)


def _sms_emoa(spec: StrategySpec, setting: Setting) -> SearchStrategy:
    from nasd.strategies.sms_emoa import SmsEmoa

    return SmsEmoa(setting.space, setting.objectives, population=spec.n_members, mutation_only=spec.mutation_only)


def _aging(spec: StrategySpec, setting: Setting) -> SearchStrategy:
    from nasd.strategies.aging import AgingEvolution

    return AgingEvolution(setting.space, setting.objectives, population=spec.n_members, sample=spec.sample)


def _local_search(_spec: StrategySpec, setting: Setting) -> SearchStrategy:
    from nasd.strategies.local_search import LocalSearch

    return LocalSearch(setting.space, setting.objectives)


def _screened(_spec: StrategySpec, setting: Setting) -> SearchStrategy:
    from nasd.strategies.screened import Screened

    return Screened(setting)


def _gp(_spec: StrategySpec, setting: Setting) -> SearchStrategy:
    _require("gp", optuna="optuna", torch="train")
    from nasd.strategies.gp import Gp

    return Gp(setting.space, setting.objectives)


def _reinforce(spec: StrategySpec, setting: Setting) -> SearchStrategy:
    from nasd.strategies.reinforce import reinforce

    return reinforce(setting, reward=spec.reward)


def _tpe(_spec: StrategySpec, setting: Setting) -> SearchStrategy:
    _require("tpe", optuna="optuna")
    from nasd.strategies.tpe import Tpe

    return Tpe(setting.space, setting.objectives)


def _require(use: str, **extras: str) -> None:
    """Refuse a strategy whose packages are not here; each by the extra that brings it."""
    for package, extra in extras.items():
        if find_spec(package) is None:
            raise UserError(f'strategy.use = "{use}": needs {package.capitalize()}: install nasd[{extra}]')


Builder = Callable[[StrategySpec, Setting], SearchStrategy]

_BUILDERS: dict[str, Builder] = {
    "aging-evolution": _aging,
    "gp": _gp,
    "local-search": _local_search,
    "nsga2": _nsga2,
    "random": _random,
    "reinforce": _reinforce,
    "screened": _screened,
    "sms-emoa": _sms_emoa,
    "tpe": _tpe,
}
_PLANNED = frozenset[str]()

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
