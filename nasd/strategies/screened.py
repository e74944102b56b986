"""`screened`: steady-state evolution whose children are screened by a model before one of them is evaluated.

Each proposal breeds a few hundred children of the present front, asks a small ensemble of Gaussian processes for what
is not known of them (error, latency), takes what is known ahead as it is (parameters, FLOPs, declared costs), and
proposes the child that is expected to add most hypervolume to the front, in-flight trials counted at their predicted
values. Some children are not screened, and none while the model can't rank what it has seen.

Source: ours, from parts: Emmerich et al. 2011 (expected hypervolume improvement), Ginsbourger et al. 2010 (believing
predictions of what is in flight), Lu et al. 2020, NSGANetV2 (evolution screened by a predictor).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import moocore
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from nasd.domain.architecture import Architecture
from nasd.domain.history import Fact, History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.objective import Limit, violation
from nasd.strategies.base import Setting
from nasd.strategies.fresh import unproposed
from nasd.strategies.screening.features import Features
from nasd.strategies.screening.improvement import expected_improvement, open_boxes, thinned
from nasd.strategies.screening.observed import Observed
from nasd.strategies.screening.pool import Pool
from nasd.strategies.screening.region import Region, region_of
from nasd.strategies.screening.surrogate import Surrogate, Thetas

Array = NDArray[np.float64]

_DESIGN = 16  # random trials first, as long as they are not half known
_POOL = 200  # children
_ROUNDS = 2  # of breeding from the best of them
_UNSCREENED = 0.05  # share of children sent as they are: what the model does not expect is found by them
_DOUBTED = 0.25  # the same while the model ranks poorly
_POOR, _HOPELESS = 0.2, 0.0  # rank correlations
_JUDGED_FROM = 24  # results; fewer say nothing of a model
_REFIT_EVERY = 8  # facts; later an eighth of all
_TRIES = 20


class Screened:
    """See the module.

    Its cache holds hyperparameters alone: they are most of the time that a resume would cost.
    """

    name = "screened"
    version = "screened-1"

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._space = setting.space
        self._features = Features(setting)
        self._threads = ThreadpoolController()
        self._restored: tuple[int, Thetas] | None = None
        self._forget()

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:  # noqa: ARG002 - the rng is keyed by it
        """A random architecture during the design, then the child that promises most.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        observed = self._follow(history)
        n_proposed = len(history) - observed.n_lost
        if n_proposed < _DESIGN or len(observed) < _DESIGN // 2:
            return self._sample(history, rng)
        with self._threads.limit(limits=1):  # the same sums in the same order, whatever else this process does
            return self._screened(history, observed, rng)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """The hyperparameters in use; None before the first fit."""
        if self._thetas is None:
            return None
        seq, thetas = self._thetas
        return LearnedSeq(seq), {**self._labels(seq), "thetas": thetas}

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Take over what `cache` gave; one of another version or other settings is left aside."""
        self._forget()
        thetas = _thetas(state.get("thetas"))
        labels = self._labels(int(learned_seq))
        if thetas and all(state.get(key) == value for key, value in labels.items()):
            self._restored = (int(learned_seq), thetas)

    def _labels(self, seq: int) -> dict[str, object]:
        names = [objective.name for objective in self._setting.objectives]
        return {"version": self.version, "objectives": names, "learned_seq": seq}

    def _forget(self) -> None:
        self._history: History | None = None
        self._observed = Observed()
        self._due: tuple[int, Observed] = (0, Observed())  # the last refit's facts
        self._thetas: tuple[int, Thetas] | None = None
        self._restored = None
        self._surrogate: tuple[int, Surrogate] | None = None

    def _follow(self, history: History) -> Observed:
        """Consume the facts that are new; start over where `history` isn't the one consumed so far."""
        if self._history is not None and self._history is not history:
            self._forget()
        self._history = history
        for fact in history.facts[self._observed.n_facts :]:
            self._learn(fact)
        return self._observed

    def _learn(self, fact: Fact) -> None:
        self._observed.learn(fact)
        if self._observed.n_facts == _next_refit(self._due[0]):
            self._due = (self._observed.n_facts, self._observed.copy())

    def _screened(self, history: History, observed: Observed, rng: np.random.Generator) -> Proposal:
        surrogate = self._fitted(history, observed)
        # predictions that have seen the results stand for them, which smooths one training's luck
        points = surrogate.points(observed.architectures(history))
        region = region_of(self._setting, surrogate, observed, points, rng)
        parents = _parents(region, observed.numbers)
        pool = Pool(self._space, history, self._is_allowed)
        if rng.random() < self._share_unscreened(surrogate, observed):
            return self._unscreened(history, parents, rng) or self._sample(history, rng)
        pool.breed(parents, _POOL, rng)
        if not len(pool):
            return self._unscreened(history, parents, rng) or self._sample(history, rng)
        boxes = self._boxes(history, surrogate, region)

        def worth(candidates: Sequence[Architecture]) -> Array:
            shortfalls = region.shortfalls(surrogate.predict(candidates))
            return expected_improvement(boxes, shortfalls) * surrogate.feasible(candidates)

        best, gain = pool.refined(worth, rounds=_ROUNDS, rng=rng)
        if gain <= 0:  # nothing promises anything: what evolution would do
            return self._unscreened(history, parents, rng) or self._sample(history, rng)
        return replace(best, notes={"screened_from": len(pool), "gain": gain})

    def _fitted(self, history: History, observed: Observed) -> Surrogate:
        if self._surrogate is None or self._surrogate[0] != observed.n_facts:
            thetas = self._hyperparameters(history)
            surrogate = Surrogate(self._setting, self._features, observed, history, thetas=thetas)
            self._surrogate = (observed.n_facts, surrogate)
        return self._surrogate[1]

    def _hyperparameters(self, history: History) -> Thetas | None:
        """Of the facts up to the last refit that fell due; None while those are too few."""
        due, observed = self._due
        if len(observed) < _DESIGN // 2:
            return None
        if self._thetas is None or self._thetas[0] != due:
            if self._restored is not None and self._restored[0] == due:
                self._thetas = self._restored
            else:
                fitted = Surrogate(self._setting, self._features, observed, history, thetas=None)
                self._thetas = (due, fitted.thetas)
        return self._thetas[1]

    def _boxes(self, history: History, surrogate: Surrogate, region: Region) -> tuple[Array, Array]:
        points = region.points[region.front]
        in_flight = [history.architectures[number] for number in history.in_flight]
        if in_flight:
            points = np.vstack([points, surrogate.points(in_flight)])
        one = np.ones(points.shape[1])
        return open_boxes(thinned(region.unit(points), one), one)

    def _share_unscreened(self, surrogate: Surrogate, observed: Observed) -> float:
        if len(observed) < _JUDGED_FROM or surrogate.correlation >= _POOR:
            return _UNSCREENED
        return 1.0 if surrogate.correlation <= _HOPELESS else _DOUBTED

    def _unscreened(
        self, history: History, parents: Sequence[TrialNumber], rng: np.random.Generator
    ) -> Proposal | None:
        pool = Pool(self._space, history, self._is_allowed)
        for _ in range(_TRIES):
            child = pool.child(parents, rng)
            if pool.takes(child.architecture):
                return replace(child, notes={"screened_from": 1})
        return None

    def _sample(self, history: History, rng: np.random.Generator) -> Proposal:
        """A random one, within the limits on what is known ahead where such a one turns up soon."""
        for _ in range(_TRIES):
            drawn = self._space.sample(rng)
            if history.number_of(drawn.key) is None and self._is_allowed(drawn):
                return Proposal(drawn, "sample")
        return Proposal(unproposed(self._space, history, rng), "sample")

    def _is_allowed(self, architecture: Architecture) -> bool:
        """Whether what is known of it ahead keeps the limits."""
        limits = self._limits_ahead
        return not limits or violation(limits, self._setting.costs(architecture)) <= 0

    @cached_property
    def _limits_ahead(self) -> tuple[Limit, ...]:
        return tuple(limit for limit in self._setting.limits if limit.of in self._features.known)


def _next_refit(last: int) -> int:
    return last + max(_REFIT_EVERY, last // 8)


def _parents(region: Region, numbers: Sequence[TrialNumber]) -> list[TrialNumber]:
    """Trials of the first two ranks that lie in the region; all of those ranks where none does."""
    first = region.front
    rest = np.flatnonzero(~first & region.usable)
    second = np.zeros_like(first)
    if len(rest):
        second[rest[moocore.is_nondominated(region.points[rest])]] = True
    eligible = first | second
    inside = eligible & (region.points < region.reference).all(axis=1)
    return [numbers[row] for row in np.flatnonzero(inside if inside.any() else eligible).tolist()]


def _thetas(value: object) -> Thetas | None:
    """What a cache holds; None where it isn't lists of lists of numbers by name."""
    if not isinstance(value, dict):
        return None
    for theta in (theta for each in value.values() for theta in (each if isinstance(each, list) else [None])):
        if not (isinstance(theta, list) and all(isinstance(number, float) for number in theta)):
            return None
    return value
