"""What is modelled and how: every quantity that is neither known ahead nor counted gets a small ensemble of its own.

Targets are logarithms where values are positive, cut where they are too bad to matter: networks at chance level would
otherwise be most of what a model explains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np
from numpy.typing import NDArray
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from scipy.special import ndtr

from nasd.domain.architecture import Architecture
from nasd.domain.history import History
from nasd.domain.objective import Limit, Objective, Source
from nasd.strategies.base import Setting
from nasd.strategies.screening.features import Features, Rows
from nasd.strategies.screening.gaussian import GaussianProcess, Kernel, Mixture, rank_correlation
from nasd.strategies.screening.observed import Observed, best_and_latest
from nasd.strategies.screening.scale import Predicted, Scale, scale_of

Array = NDArray[np.float64]
Thetas = Mapping[str, Sequence[Sequence[float]]]  # of each modelled quantity: hyperparameters of each kernel

MOST_ROWS = 300  # a model is made of
_WORST_SHARE = 0.8  # quantile of the targets above which they are cut
_BEYOND = 0.25  # of the way from the best to the bound: what is farther out than that is cut
_ENOUGH_FAULTS = 3
_LEAST_CHANCE = 1e-3  # of an evaluation to succeed, whatever failed before
_LATEST = 40  # results that the rank correlation is taken over
_SORTING = NonDominatedSorting()
_WORKS = "works?"  # no quantity's name has a question mark


@dataclass(frozen=True, slots=True)
class Modelled:
    """One quantity's model.

    Attributes:
        cut: the worst target that the model was shown.
        correlation: Kendall's tau of the latest targets with their predictions when left out.
    """

    model: Mixture
    scale: Scale
    cut: float
    correlation: float


@dataclass(frozen=True, slots=True)
class Training:
    """What every model of a surrogate is made from.

    Attributes:
        design: (n, d) features of all that was observed.
        chosen: the rows that models are shown.
        thetas: hyperparameters found on an earlier prefix of the facts; None: find them now.
    """

    design: Array
    chosen: NDArray[np.intp]
    kernels: tuple[Kernel, ...]
    thetas: Thetas | None

    def fit(
        self, name: str, losses: Array, *, bound: float | None = None, is_log: bool = True, is_primary: bool = False
    ) -> Modelled | None:
        """A model of one quantity; None where no chosen row has a value of it.

        Args:
            losses: (n,), NaN where unknown.
            bound: the loss beyond which nothing matters, if one is known.
            is_log: see `scale_of`.
            is_primary: values are cut where they are too bad to matter even where no bound says so.
        """
        chosen = self.chosen[np.isfinite(losses[self.chosen])]
        if len(chosen) == 0:
            return None
        scale = scale_of(losses, is_log=is_log)
        targets = scale.forward(losses[chosen])
        cut = float(targets.max())
        if is_primary or bound is not None:
            cut = _cut(targets, None if bound is None else scale.edge(bound))
        kept = np.minimum(targets, cut)
        starts = _starts(self.thetas, name, self.kernels)
        model = Mixture(
            [
                GaussianProcess(kernel, self.design[chosen], kept, theta=theta)
                for kernel, theta in zip(self.kernels, starts, strict=True)
            ]
        )
        latest = slice(-_LATEST, None)
        return Modelled(model, scale, cut, rank_correlation(kept[latest], model.left_out()[latest]))


class Surrogate:
    """Predictions of all that matters of an architecture, made of what was observed.

    Attributes:
        primary: the objective that stands for quality; the others are prices, which are high where quality is.
    """

    def __init__(
        self, setting: Setting, features: Features, observed: Observed, history: History, *, thetas: Thetas | None
    ) -> None:
        """Fit it; observed is not empty.

        Args:
            thetas: of an earlier prefix of the facts; None: find them now.
        """
        self._setting, self._features = setting, features
        self.primary = _primary(setting, features.known)
        rows = features.rows(observed.architectures(history))
        self._centre = rows.costs.mean(axis=0)
        self._spread = 2 * rows.costs.std(axis=0) + 1e-9
        losses = {each.name: each.sign * observed.values(each.name) for each in setting.objectives}
        chosen = best_and_latest(_ranks(observed.feasible(setting.objectives), losses), MOST_ROWS)
        training = Training(self._design(rows), chosen, _kernels(rows), thetas)
        self._objectives: dict[str, Modelled] = {}
        for objective in setting.objectives:
            if objective.name not in features.known:
                bound = bound_of(objective, setting)
                modelled = training.fit(
                    objective.name,
                    losses[objective.name],
                    bound=bound,
                    is_log=objective.is_log,
                    is_primary=objective.name == self.primary,
                )
                if modelled is not None:
                    self._objectives[objective.name] = modelled
        self._limits: list[tuple[Limit, Modelled]] = []
        for limit in setting.limits:
            if limit.of not in features.known and not _is_bound(limit, setting.objectives):
                modelled = training.fit(limit.of, observed.values(limit.of))
                if modelled is not None:
                    self._limits.append((limit, modelled))
        works = observed.works()
        has_faults = _ENOUGH_FAULTS <= (works == 0).sum() < len(works)
        self._works = training.fit(_WORKS, -works, bound=0.0) if has_faults else None

    @property
    def thetas(self) -> dict[str, list[list[float]]]:
        """Hyperparameters, for a surrogate of a few more results to begin from."""
        modelled = {**self._objectives, **{limit.of: each for limit, each in self._limits}}
        if self._works is not None:
            modelled[_WORKS] = self._works
        return {name: each.model.thetas for name, each in modelled.items()}

    @property
    def correlation(self) -> float:
        """The least rank correlation of a modelled objective; 1.0 where everything is known."""
        return min((each.correlation for each in self._objectives.values()), default=1.0)

    def scale(self, name: str) -> Scale | None:
        """Of a modelled objective; None where it is known ahead."""
        modelled = self._objectives.get(name)
        return None if modelled is None else modelled.scale

    def cut(self, name: str) -> float:
        """The worst that a modelled objective is taken for, on hypervolume's scale; infinite before it was observed."""
        modelled = self._objectives.get(name)
        if modelled is None:
            return inf
        return float(modelled.scale.measure(np.array([modelled.cut]))[0])

    def predict(self, architectures: Sequence[Architecture]) -> list[Predicted]:
        """Each objective of some architectures."""
        rows = self._features.rows(architectures)
        design = self._design(rows)
        found = []
        for objective in self._setting.objectives:
            modelled = self._objectives.get(objective.name)
            if modelled is not None:
                found.append(Predicted(*modelled.model.predict(design), modelled.scale))
            elif objective.name in self._features.known:
                costs = objective.sign * rows.costs[:, self._features.known.index(objective.name)]
                found.append(Predicted(costs, None, Scale("linear")))
            else:  # nothing was observed of it yet
                found.append(Predicted(np.zeros(len(rows)), np.ones(len(rows)), Scale("linear")))
        return found

    def points(self, architectures: Sequence[Architecture]) -> Array:
        """(n, m) medians on the scales on which hypervolume is taken."""
        return np.column_stack([each.measure for each in self.predict(architectures)])

    def feasible(self, architectures: Sequence[Architecture]) -> Array:
        """(n,) the probability that limits hold that are no bounds of objectives, and that an evaluation succeeds."""
        design = self._design(self._features.rows(architectures))
        total = np.ones(len(design))
        for limit, modelled in self._limits:
            mean, spread = modelled.model.predict(design)
            for sign, edge in ((1, limit.maximum), (-1, limit.minimum)):
                if edge is not None:
                    total *= ndtr(sign * (modelled.scale.edge(edge) - mean) / spread)
        if self._works is not None:
            mean, spread = self._works.model.predict(design)
            total *= np.maximum(ndtr((-mean - 0.5) / spread), _LEAST_CHANCE)  # that it works rather than not
        return total

    def _design(self, rows: Rows) -> Array:
        return np.hstack([rows.places, rows.options, (rows.costs - self._centre) / self._spread])


def _primary(setting: Setting, known: Sequence[str]) -> str | None:
    """The first trained objective, else the first that is neither known nor measured; None where there is none."""
    open_ones = [each for each in setting.objectives if each.name not in known and not each.is_log]
    trained = [each.name for each in open_ones if each.source is Source.TRAINED]
    return next(iter((*trained, *(each.name for each in open_ones))), None)


def bound_of(objective: Objective, setting: Setting) -> float | None:
    """The loss beyond which the user has no use for a network: a limit's, or the preference's worst value."""
    edges = []
    for limit in setting.limits:
        edge = limit.maximum if objective.sign > 0 else limit.minimum
        if limit.of == objective.name and edge is not None:
            edges.append(objective.sign * edge)
    _, worst = setting.preference.get(objective.name, (None, None))
    if worst is not None:
        edges.append(objective.sign * worst)
    return min(edges, default=None)


def _starts(thetas: Thetas | None, name: str, kernels: Sequence[Kernel]) -> list[Array | None]:
    """Hyperparameters found earlier for each kernel; None where there are none that fit it."""
    known = [np.array(theta, dtype=np.float64) for theta in (thetas or {}).get(name, ())]
    sizes = [(kernel.n_hyperparameters,) for kernel in kernels]
    return list(known) if [theta.shape for theta in known] == sizes else [None] * len(kernels)


def _is_bound(limit: Limit, objectives: Sequence[Objective]) -> bool:
    """Whether the limit only says how bad an objective may be: the reference point does that."""
    for objective in objectives:
        if objective.name == limit.of:
            return (limit.minimum if objective.sign > 0 else limit.maximum) is None
    return False


def _cut(targets: Array, bound: float | None) -> float:
    if bound is None:
        return float(np.quantile(targets, _WORST_SHARE))
    ordered = np.sort(targets)
    middle = ordered[min(len(ordered) - 1, max(5, len(ordered) // 2))]
    return float(max(bound + _BEYOND * abs(bound - ordered[0]), middle))


def _kernels(rows: Rows) -> tuple[Kernel, ...]:
    """All columns together; and what a network consists of, apart from where it stands."""
    n_places, n_options, n_costs = (part.shape[1] for part in (rows.places, rows.options, rows.costs))
    ends = np.cumsum([0, n_places, n_options, n_costs]).tolist()
    places, options, costs = (tuple(range(low, high)) for low, high in pairwise(ends))
    together = Kernel((places + options + costs,))
    if not options and not costs:
        return (together,)
    return together, Kernel((options + costs, places + costs))


def _ranks(fit: NDArray[np.bool_], losses: Mapping[str, Array]) -> list[int]:
    """Non-domination ranks of what is fit for a front; the rest comes after."""
    table = np.column_stack(list(losses.values()))
    if len(fit) <= MOST_ROWS:
        return [0] * len(fit)
    ranks = np.full(len(fit), len(fit))
    rows = np.flatnonzero(fit)
    for rank, front in enumerate(_SORTING.do(table[rows])):
        ranks[rows[front]] = rank
    found: list[int] = ranks.tolist()
    return found
