"""Optuna's Gaussian processes with expected hypervolume improvement, as a pure function of a history.

They take seconds for an ask, so they see 200 trials at most, and import torch, so they run in a process of their own:
each ask carries all that its answer depends on. Meant for short studies of dear trials with few parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from importlib.metadata import version
from math import isfinite

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import History, Proposal
from nasd.domain.ids import LearnedSeq
from nasd.domain.objective import Objective
from nasd.domain.seeding import below
from nasd.domain.space import SearchSpace
from nasd.strategies.fresh import unproposed
from nasd.strategies.gp_proposer import Proposer
from nasd.strategies.optuna_fresh import fresh_proposal
from nasd.strategies.optuna_view import Axes, OptunaView, Seen
from nasd.strategies.optuna_window import front_latest_and_spread

STARTUP = 10  # results before anything is modelled
MOST = 200  # trials that the model sees
_FRONT, _LATEST = 100, 50  # of those at most; the rest are spread over the space
_IN_FLIGHT = 32  # the latest of them that the model is told of
_ASKS = 2


class Gp:
    """Gaussian processes over the flat view of the space, in which what does not exist has a value of its own."""

    name = "gp"

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], *, proposer: Proposer | None = None
    ) -> None:
        self._space = space
        self._view = OptunaView(space, objectives, fixed=True)
        self._proposer = proposer or Proposer()

    @property
    def version(self) -> str:
        """Another Optuna or torch may compute otherwise."""
        return f"gp-1-optuna-{version('optuna')}-torch-{version('torch')}"

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:  # noqa: ARG002 - the rng is keyed by it
        """What the model suggests; a random architecture until STARTUP results are in, or where it can't be computed.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
            WorldFault: the process gave no answer; ask again.
        """
        self._view.follow(history)
        if self._view.n_finished < STARTUP or len(history) >= self._space.size or not self._view.axes.axes:
            return Proposal(unproposed(self._space, history, rng), "sample")
        suggester = _Suggester(self._view, self._proposer, history, rng)
        return fresh_proposal(self.name, suggester, self._space, history, rng, most_asks=_ASKS)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """Nothing: every ask fits its models anew."""
        return None

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """End the process."""
        self._proposer.close()


class _Suggester:
    """Asks, and asks again with what was suggested before among the trials in flight."""

    def __init__(self, view: OptunaView, proposer: Proposer, history: History, rng: np.random.Generator) -> None:
        self._view, self._proposer, self._rng = view, proposer, rng
        self._axes = view.axes
        seen = view.finished()
        points = points_of(self._axes, [view.numbers_of(each.number) for each in seen])
        chosen = front_latest_and_spread(seen, points, n_front=_FRONT, n_latest=_LATEST, most=MOST)
        self._finished = told(view, chosen)
        self._running = [view.numbers_of(number) for number in history.in_flight[-_IN_FLIGHT:]]

    def __call__(self) -> Architecture | None:
        """None where the model can't be computed, which the rows alone decide."""
        reply = self._proposer.ask(
            {
                "axes": [astuple(axis) for axis in self._axes.axes],
                "finished": self._finished,
                "running": self._running,
                "seed": below(2**31, self._rng),
            }
        )
        if "failed" in reply:
            return None
        self._running.append(reply["numbers"])
        return self._view.architecture_of(reply["numbers"], self._rng)


def told(view: OptunaView, seen: Sequence[Seen]) -> list[tuple[dict[str, float], list[float], float | None]]:
    """Trials as (numbers, losses, violation).

    The model needs every loss of every trial: one that an infeasible trial lacks counts as the worst that is known. A
    violation of unknown size counts as twice the largest; where nothing is violated there is no constraint to model.
    """
    columns = zip(*(each.losses for each in seen), strict=True)
    worst = [max((loss for loss in column if loss is not None), default=0.0) for column in columns]
    largest = max((each.violation for each in seen if isfinite(each.violation)), default=0.0)
    is_constrained = any(each.violation > 0 for each in seen)
    return [
        (
            view.numbers_of(each.number),
            [bad if loss is None else loss for loss, bad in zip(each.losses, worst, strict=True)],
            min(each.violation, 2 * largest or 1.0) if is_constrained else None,
        )
        for each in seen
    ]


def points_of(axes: Axes, numbers: Sequence[dict[str, float]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(n, d) numbers on [0, 1], or the logarithm of the range; categories apart by their rank."""
    rows = [[_share(row[axis.name], axis.low, axis.high, is_log=axis.is_log) for axis in axes.axes] for row in numbers]
    return np.array(rows, dtype=np.float64).reshape(len(numbers), len(axes.axes))


def _share(number: float, low: float, high: float, *, is_log: bool) -> float:
    if is_log:
        number, low, high = np.log(number), np.log(low), np.log(high)
    return float((number - low) / (high - low))
