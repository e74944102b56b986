"""Table: a benchmark table as a search space and an evaluator. One recorded run is told, the others are scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasd.domain.architecture import Architecture
from nasd.domain.lifecycle import State
from nasd.domain.objective import SOURCES, Source
from nasd.domain.study import Scalar
from nasd.errors import UserError
from nasd.simulator.evaluator import Outcome
from nasd.simulator.table_files import Recorded, read
from nasd.spaces.parametric import Choice, Declaration, Parameter, ParametricSpace, Rule

DEFAULT_S = 1.0  # of an evaluation whose duration nobody says
_LEAST_COVERED = 0.01  # of all combinations: below it nearly every draw would be missing


class Table:
    """What was recorded of every network of a space.

    Attributes:
        space: canonical forms stand for networks: rows of one network share the first one's key.
        names: the quantities, in the order of the columns of `told` and `scored`.
        told: (n, m) of one recorded run; NaN where it is unknown.
        scored: (n, m), the mean of the other runs; the same as `told` where there was one run.
        duration_s: (n,) at speed 1.
        useful: the worst value of some quantities that is still of use; only scores know of it.
    """

    def __init__(self, recorded: Recorded, *, told: int = 0) -> None:
        """Read it as a space.

        Args:
            told: which of the recorded runs evaluations answer with.

        Raises:
            UserError: a row occurs twice, or hardly any combination of options was recorded.
        """
        self.name = recorded.name
        self.names = tuple(recorded.values)
        self.told = np.column_stack([_run(recorded, name, told) for name in self.names])
        self.scored = np.column_stack([_others(recorded, name, told) for name in self.names])
        n = len(self.told)
        self.duration_s = np.full(n, DEFAULT_S) if recorded.duration_s is None else recorded.duration_s
        self.has_durations = recorded.duration_s is not None
        self.useful = dict(recorded.useful)
        self._genes = tuple(sorted(recorded.columns))  # the order of Architecture.genes
        self._rows = self._index(recorded)
        self._by_row = tuple(self._rows)  # insertion order is row order
        self._first = _first_of(recorded)
        self._counts = [
            (at, name) for at, name in enumerate(self.names) if SOURCES.get(name) is Source.COUNTED
        ]  # fmt: skip
        self.space = ParametricSpace(self._declaration(recorded))

    @classmethod
    def load(cls, path: str, *, told: int = 0) -> Table:
        """The table at `path`, see `nasd.simulator.table_files.read`."""
        return cls(read(path), told=told)

    def row(self, architecture: Architecture) -> int:
        """Where the network stands; it must be a member of `space`."""
        return int(self._first[self._rows[tuple([value for _, value in architecture.genes])]])

    def networks(self) -> NDArray[np.intp]:
        """Rows, one for each distinct network."""
        return np.unique(self._first)

    def evaluate(self, architecture: Architecture, rng: np.random.Generator) -> Outcome:  # noqa: ARG002 - recorded
        """The told run, as `nasd.simulator.Evaluator`; a run without numbers is INFEASIBLE."""
        at = self.row(architecture)
        values = dict(zip(self.names, self.told[at].tolist(), strict=True))
        known = {name: value for name, value in values.items() if np.isfinite(value)}
        state = State.COMPLETED if len(known) == len(values) else State.INFEASIBLE
        return Outcome(known, float(self.duration_s[at]), state)

    def scores(self, architecture: Architecture) -> Mapping[str, float]:
        """What the other runs say of it."""
        return dict(zip(self.names, self.scored[self.row(architecture)].tolist(), strict=True))

    def _index(self, recorded: Recorded) -> dict[tuple[object, ...], int]:
        rows: dict[tuple[object, ...], int] = {}
        for at, options in enumerate(zip(*(recorded.columns[name] for name in self._genes), strict=True)):
            if options in rows:
                shown = ", ".join(f"{name} = {option}" for name, option in zip(self._genes, options, strict=True))
                raise UserError(f"table {self.name}: {shown}: is in it twice. Keep one row of each network")
            rows[options] = at
        return rows

    def _declaration(self, recorded: Recorded) -> Declaration:
        parameters = tuple(_parameter(recorded, name) for name in recorded.columns)
        n_all = int(np.prod([float(parameter.domain.n) for parameter in parameters]))
        if len(self._rows) < _LEAST_COVERED * n_all:
            share = f"{len(self._rows):,} of {n_all:,} combinations"
            raise UserError(f"table {self.name}: holds {share}: too few to search. Give one that holds nearly all")
        there = Rule(self._genes, self._holds, says="it is in the table")
        return Declaration(
            kind=recorded.name,
            parameters=parameters,
            constraints=() if len(self._rows) == n_all else (there,),
            normalise=self._normal if recorded.same else None,
            counts=self._count if self._counts else None,
            size=len(self.networks()),
        )

    def _holds(self, *options: Scalar) -> bool:
        return options in self._rows

    def _at(self, genes: Mapping[str, Any]) -> int | None:
        return self._rows.get(tuple([genes[name] for name in self._genes]))

    def _normal(self, genes: dict[str, Any]) -> dict[str, Any]:
        """Those of the first row that has this network."""
        at = self._at(genes)
        if at is None or self._first[at] == at:
            return genes
        return dict(zip(self._genes, self._by_row[int(self._first[at])], strict=True))

    def _count(self, genes: Mapping[str, Any]) -> dict[str, int]:
        at = self._at(genes)
        if at is None:
            raise KeyError(f"not in the table {self.name}: {dict(genes)}")
        return {name: int(self.told[at, column]) for column, name in self._counts}


def _run(recorded: Recorded, name: str, told: int) -> NDArray[np.float64]:
    runs = recorded.values[name]
    if runs.shape[1] > 1 and not 0 <= told < runs.shape[1]:
        raise UserError(f"table {recorded.name}: {name} was recorded {runs.shape[1]} times; there is no run {told}")
    return runs[:, told if runs.shape[1] > 1 else 0]


def _others(recorded: Recorded, name: str, told: int) -> NDArray[np.float64]:
    runs = recorded.values[name]
    rest = np.delete(runs, told, axis=1) if runs.shape[1] > 1 else runs
    mean: NDArray[np.float64] = rest.mean(axis=1)
    return mean


def _first_of(recorded: Recorded) -> NDArray[np.intp]:
    """(n,): the first row that has the same network."""
    n = len(next(iter(recorded.values.values())))
    if not recorded.same:
        return np.arange(n)
    every = np.column_stack(list(recorded.values.values()))
    _, first, inverse = np.unique(every, axis=0, return_index=True, return_inverse=True)
    found: NDArray[np.intp] = first[inverse.reshape(-1)]
    return found


def _parameter(recorded: Recorded, name: str) -> Parameter:
    options = tuple(dict.fromkeys(recorded.columns[name]))
    ordered = name in recorded.ordered
    if ordered and all(isinstance(option, int | float) for option in options):
        options = tuple(sorted(options, key=float))
    elif not ordered:
        options = tuple(sorted(options, key=str))
    return Parameter(name=name, domain=Choice(options, ordered=ordered))
