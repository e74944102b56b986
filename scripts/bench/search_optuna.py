"""Optuna's samplers behind `search_peers.Asker`, through its public ask, tell and constraints alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import optuna
from optuna.exceptions import ExperimentalWarning
from search_genes import decoded, flat_domains
from search_peers import ADAPTER, Asked, Told

from nasd.domain.study import Scalar
from nasd.spaces.parametric import Choice, IntRange, ParametricSpace
from nasd.spaces.parametric.domains import Domain
from nasd.strategies.base import Setting

_SAMPLERS: Mapping[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "nsga2-50": lambda seed: optuna.samplers.NSGAIISampler(population_size=50, seed=seed),  # its default
    "nsga2-20": lambda seed: optuna.samplers.NSGAIISampler(population_size=20, seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
    "tpe-group": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True, multivariate=True, group=True),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
}
_FLAT = frozenset({"gp"})  # it models only parameters that every trial has


class OptunaAsker:
    """A study in memory. Ordered choices are whole numbers to it, others categories; parameters that don't exist are
    not asked for, except by the GP, which gets a vector of fixed length.
    """

    def __init__(self, sampler: str, setting: Setting, seed: int) -> None:
        assert isinstance(setting.space, ParametricSpace)
        self._space, self._is_flat = setting.space, sampler in _FLAT
        self._domains = flat_domains(setting.space)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            made = _SAMPLERS[sampler](seed)
        self._study = optuna.create_study(directions=["minimize"] * len(setting.objectives), sampler=made)

    @property
    def version(self) -> str:
        return f"optuna {optuna.__version__}, {ADAPTER}"

    def ask(self) -> Asked:
        """It never waits."""
        trial = self._study.ask()
        if self._is_flat:
            values = {name: _suggest(trial, name, domain) for name, domain in self._domains.items()}
            return Asked(trial, decoded(self._space, lambda name, _domain: values[name]))
        return Asked(trial, decoded(self._space, lambda name, domain: _suggest(trial, name, domain)))

    def tell(self, handle: object, told: Told | None) -> None:
        """A draft that is no member is a failed trial: it teaches nothing."""
        assert isinstance(handle, optuna.trial.Trial)
        if told is None:
            self._study.tell(handle, state=optuna.trial.TrialState.FAIL)
            return
        for at, excess in enumerate(told.excess):
            handle.set_constraint(f"limit{at}", excess)
        self._study.tell(handle, list(told.losses))


def _suggest(trial: optuna.trial.Trial, name: str, domain: Domain) -> Scalar:
    if isinstance(domain, Choice):
        if domain.ordered:
            return domain.options[trial.suggest_int(name, 0, domain.n - 1)]
        return domain.options[domain.options.index(trial.suggest_categorical(name, domain.options))]
    if isinstance(domain, IntRange):
        return trial.suggest_int(name, domain.low, domain.high)
    return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
