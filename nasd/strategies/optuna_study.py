"""Optuna studies made of rows, in memory, for one ask each: what a sampler keeps between asks can't reach a proposal.

Imported by `tpe` when it first asks, and by the process of `gp`; nothing else may import Optuna.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from nasd.strategies.optuna_view import Axis, Numbers

_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - Optuna's dates have no zone; no sampler here reads them
Distributions = Mapping[str, BaseDistribution]


class Row(FrozenTrial):
    """A trial that saves most of the time of an ask: taken over without a deep copy, its constraints at hand."""

    limits: Mapping[str, float] = MappingProxyType({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Row:
        return copy.copy(self)

    @property
    def constraints(self) -> dict[str, float]:
        return dict(self.limits)


def distributions_of(axes: Iterable[Axis]) -> dict[str, BaseDistribution]:
    """Optuna's words for parameters."""
    return {axis.name: _distribution(axis) for axis in axes}


def _distribution(axis: Axis) -> BaseDistribution:
    if axis.kind == "category":
        return CategoricalDistribution(tuple(range(int(axis.high) + 1)))
    if axis.kind == "whole":
        return IntDistribution(int(axis.low), int(axis.high))
    return FloatDistribution(axis.low, axis.high, log=axis.is_log)


def finished(
    numbers: Numbers, distributions: Distributions, *, losses: Sequence[float | None], violation: float | None
) -> Row:
    """A trial with its result.

    Args:
        losses: without all of them the trial is given to Optuna as pruned: its samplers then look at the violation.
        violation: None where the study has no constraint at all.
    """
    values = [loss for loss in losses if loss is not None]
    is_complete = len(values) == len(losses)
    row = _row(numbers, distributions, TrialState.COMPLETE if is_complete else TrialState.PRUNED)
    if is_complete:
        row.values = values
    if violation is not None:
        row.limits = {"limits": violation}
    return row


def running(numbers: Numbers, distributions: Distributions) -> Row:
    """A trial in flight."""
    return _row(numbers, distributions, TrialState.RUNNING)


def _row(numbers: Numbers, distributions: Distributions, state: TrialState) -> Row:
    return Row(
        number=-1,
        trial_id=-1,
        state=state,
        value=None,
        datetime_start=_EPOCH,
        datetime_complete=_EPOCH if state.is_finished() else None,
        params=dict(numbers),
        distributions={name: distributions[name] for name in numbers},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def study_of(rows: Iterable[Row], sampler: BaseSampler, *, n_objectives: int) -> optuna.Study:
    """A study of these trials, in their order; every objective is minimised."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, sampler=sampler, directions=["minimize"] * n_objectives)
    for row in rows:
        storage.create_new_trial(study._study_id, template_trial=row)  # add_trials would check each parameter again
    return study


def tpe_sampler(seed: int) -> TPESampler:
    """Multivariate by groups of parameters that exist together; trials in flight count as bad."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(
            seed=seed,
            n_startup_trials=0,  # the strategy's own random design came before
            multivariate=True,
            group=True,
            constant_liar=True,
        )


def suggestion(study: optuna.Study) -> dict[str, float]:
    """Ask once. The trial stays in the study as running, so that the next ask keeps away from it."""
    return dict(study.ask().relative_params)
