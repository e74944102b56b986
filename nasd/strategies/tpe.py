"""Optuna's multi-objective tree-structured Parzen estimator, as a pure function of a history.

Each ask makes an Optuna study anew from rows: finished trials by number, infeasible ones with their violation, trials
in flight as running, so that the constant liar keeps away from them. The sampler is seeded from the trial's generator.

Source: Ozaki et al. 2022, Multiobjective Tree-Structured Parzen Estimator, JAIR 73; Watanabe 2023, arXiv 2304.11127,
for Optuna's form of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.objective import Objective
from nasd.domain.seeding import below
from nasd.domain.space import SearchSpace
from nasd.strategies.fresh import unproposed
from nasd.strategies.optuna_fresh import fresh_proposal
from nasd.strategies.optuna_view import Axes, OptunaView, Seen
from nasd.strategies.optuna_window import best_and_latest

if TYPE_CHECKING:
    from nasd.strategies.optuna_study import Distributions, Row

STARTUP = 10  # results before anything is modelled
_ASKS = 4
_BEST, _LATEST = 100, 400  # trials that Optuna is shown: with all of 1,000 an ask takes over a second in large spaces


class Tpe:
    """TPE over the space's decisions; the first trials, and what collides again and again, are random."""

    name = "tpe"

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        self._space = space
        self._objectives = tuple(objectives)
        self._view = OptunaView(space, objectives)
        self._axes: Axes | None = None  # that the rows below were made with
        self._rows: dict[Seen, Row] = {}

    @property
    def version(self) -> str:
        """Another Optuna may sample otherwise."""
        return f"tpe-1-optuna-{version('optuna')}"

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:  # noqa: ARG002 - the rng is keyed by it
        """A random architecture until STARTUP results are in, then what TPE suggests.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        self._view.follow(history)
        if self._view.n_finished < STARTUP:
            return Proposal(unproposed(self._space, history, rng), "sample")
        if len(history) >= self._space.size:  # a study is dear: first see whether anything may be left
            return Proposal(unproposed(self._space, history, rng), "sample")
        return fresh_proposal(self.name, self._suggester(history, rng), self._space, history, rng, most_asks=_ASKS)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """Nothing: rows are read again in well under a second."""
        return None

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Nothing is kept."""

    def _suggester(self, history: History, rng: np.random.Generator) -> Callable[[], Architecture]:
        """Asks one study, again where it is called again."""
        from nasd.strategies import optuna_study  # takes a quarter of a second, which commands that only read don't pay

        distributions = optuna_study.distributions_of(self._view.axes.axes)
        finished = self._finished(distributions)
        rows = {
            **{
                number: optuna_study.running(self._view.numbers_of(number), distributions)
                for number in history.in_flight
            },
            **finished,
        }
        study = optuna_study.study_of(
            [rows[number] for number in sorted(rows)],
            optuna_study.tpe_sampler(below(2**31, rng)),
            n_objectives=len(self._objectives),
        )
        return lambda: self._view.architecture_of(optuna_study.suggestion(study), rng)

    def _finished(self, distributions: Distributions) -> dict[TrialNumber, Row]:
        """Rows of what taught something; those of the last ask are used again where nothing about them changed."""
        from nasd.strategies import optuna_study

        if self._axes is not self._view.axes:  # another history, or one that shows more of the space
            self._axes, self._rows = self._view.axes, {}
        found = {}
        for seen in best_and_latest(self._view.finished(), n_best=_BEST, n_latest=_LATEST):
            if seen not in self._rows:
                self._rows[seen] = optuna_study.finished(
                    self._view.numbers_of(seen.number),
                    distributions,
                    losses=seen.losses,
                    violation=seen.violation or None,
                )
            found[seen.number] = self._rows[seen]
        return found
