"""pymoo's generational NSGA-II behind `search_peers.Asker`: it waits until its whole generation is told."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
import pymoo
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.core.evaluator import Evaluator
from pymoo.core.mixed import MixedVariableDuplicateElimination, MixedVariableMating, MixedVariableSampling
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.variable import Choice as PymooChoice
from pymoo.core.variable import Integer, Real, Variable
from pymoo.operators.selection.tournament import TournamentSelection
from pymoo.problems.static import StaticProblem
from search_genes import decoded, flat_domains
from search_peers import ADAPTER, Asked, Told

from nasd.domain.architecture import Architecture
from nasd.domain.study import Scalar
from nasd.spaces.parametric import Choice, IntRange, ParametricSpace
from nasd.spaces.parametric.domains import Domain
from nasd.strategies.base import Setting


class PymooNsga2:
    """Mixed variables over the flat view, as pymoo documents it, with NSGA-II's own tournament.

    Drafts that are no members are infeasible, which its survival knows how to treat.
    """

    def __init__(self, setting: Setting, seed: int, *, population: int) -> None:
        assert isinstance(setting.space, ParametricSpace)
        self._space = setting.space
        self._domains = flat_domains(setting.space)
        n_limits = sum((limit.maximum is not None) + (limit.minimum is not None) for limit in setting.limits)
        self._problem = Problem(
            vars={name: _variable(domain) for name, domain in self._domains.items()},
            n_obj=len(setting.objectives),
            n_ieq_constr=1 + n_limits,
        )
        unequal = MixedVariableDuplicateElimination()
        self._algorithm = NSGA2(
            pop_size=population,
            sampling=MixedVariableSampling(),
            mating=MixedVariableMating(
                selection=TournamentSelection(func_comp=binary_tournament), eliminate_duplicates=unequal
            ),
            eliminate_duplicates=unequal,
        )
        self._algorithm.setup(self._problem, termination=("n_gen", 1_000_000), seed=seed, verbose=False)
        self._generation: Population = Population()
        self._results: dict[int, Told | None] = {}
        self._next = 0

    @property
    def version(self) -> str:
        return f"pymoo {pymoo.__version__}, {ADAPTER}"

    def ask(self) -> Asked | None:
        """The next of its generation; a new generation once the last one is told whole."""
        if self._next == len(self._generation):
            if len(self._results) < len(self._generation):
                return None
            if len(self._generation):
                self._advance()
            self._generation, self._results, self._next = self._algorithm.ask(), {}, 0
        at = self._next
        self._next += 1
        return Asked(at, self._member(self._generation[at].X))

    def tell(self, handle: object, told: Told | None) -> None:
        """Kept until the generation is complete."""
        assert isinstance(handle, int)
        self._results[handle] = told

    def _advance(self) -> None:
        n_obj, n_limits = self._problem.n_obj, self._problem.n_ieq_constr - 1
        results = [self._results[at] for at in range(len(self._generation))]
        losses = [[0.0] * n_obj if told is None else told.losses for told in results]
        broken = [[1.0, *[0.0] * n_limits] if told is None else [-1.0, *told.excess] for told in results]
        evaluated = StaticProblem(self._problem, F=np.array(losses), G=np.array(broken))
        Evaluator().eval(evaluated, self._generation)
        self._algorithm.tell(infills=self._generation)

    def _member(self, values: dict[str, object]) -> Architecture | None:
        return decoded(self._space, lambda name, domain: _value(domain, values[name]))


def _variable(domain: Domain) -> Variable:
    if isinstance(domain, Choice):
        return Integer(bounds=(0, domain.n - 1)) if domain.ordered else PymooChoice(options=list(domain.options))
    if isinstance(domain, IntRange):
        return Integer(bounds=(domain.low, domain.high))
    return Real(bounds=(log(domain.low), log(domain.high)) if domain.log else (domain.low, domain.high))


def _value(domain: Domain, value: Any) -> Scalar:
    """What a variable stands for; numpy's scalars become Python's."""
    if isinstance(domain, Choice):
        at = int(value) if domain.ordered else list(domain.options).index(value)
        return domain.options[at]
    if isinstance(domain, IntRange):
        return int(value)
    number = float(value)
    return min(domain.high, max(domain.low, exp(number))) if domain.log else number
