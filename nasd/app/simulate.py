"""Simulated studies: a study file, a fleet, and a table or the user's own function in the place of training."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nasd.app.evaluating import DURATION, FunctionEvaluator
from nasd.app.prepared import Prepared, prepare
from nasd.app.users import in_folder
from nasd.controller.mind import Parts
from nasd.controller.objectives import history_objectives
from nasd.daemon.parts import build_parts
from nasd.domain.scoring import Bounds
from nasd.domain.study import StudySpec
from nasd.errors import UserError
from nasd.ports.trials import Study, StudyState
from nasd.simulator.comparison import Comparison, compare
from nasd.simulator.engine import simulate
from nasd.simulator.evaluator import Evaluator, Outcome
from nasd.simulator.fleet import Fleet
from nasd.simulator.run import Run
from nasd.simulator.scores import Curve, Yardstick, table_yardstick, union_yardstick
from nasd.simulator.studies import STUDY, table_parts, table_spec
from nasd.simulator.tables import DEFAULT_S, Table
from nasd.strategies import KNOWN
from nasd.studyfile import load


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to simulate.

    Attributes:
        strategies: the one that others are tested against first; empty: the study's own.
        trials: instead of the study's budget.
        useful: quantity -> the worst value that scores.
        ask_s: virtual seconds of a proposal; None: the real time.
    """

    fleet: Fleet
    n_seeds: int = 1
    strategies: tuple[str, ...] = ()
    trials: int | None = None
    table: str | None = None
    useful: Mapping[str, float] = field(default_factory=dict)
    ask_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What came of it; `notes` are sentences that the figures need beside them."""

    spec: StudySpec
    seeds: tuple[int, ...]
    runs: Mapping[str, tuple[Run, ...]]
    yardstick: Yardstick
    comparison: Comparison
    curves: Mapping[str, tuple[Curve, ...]]
    notes: tuple[str, ...]


def simulate_study(path: Path, wanted: Wanted, *, say: Callable[[str], None] = lambda _: None) -> Simulated:
    """Run every strategy on every seed, and compare.

    Args:
        say: told of each strategy that is done.

    Raises:
        UserError: the study trains and no table was given, no such strategy, or a table without its objectives.
    """
    with _source(path, wanted) as source:
        names = wanted.strategies or (source.spec.strategy.use,)
        if unknown := [name for name in names if name not in KNOWN]:
            raise UserError(f"--compare {unknown[0]}: no such strategy; known: {', '.join(KNOWN)}")
        seeds = tuple(range(source.spec.seed, source.spec.seed + wanted.n_seeds))
        runs = {name: _runs(source, name, seeds, wanted, say) for name in dict.fromkeys(names)}
        yardstick = source.yardstick([run for each in runs.values() for run in each])
        notes = source.notes()
    comparison, curves = compare(source.spec.name, runs, yardstick, seeds=seeds, budget=source.spec.budget)
    return Simulated(
        spec=source.spec,
        seeds=seeds,
        runs=runs,
        yardstick=yardstick,
        comparison=comparison,
        curves=curves,
        notes=notes,
    )


def _runs(
    source: _Table | _Function, name: str, seeds: Sequence[int], wanted: Wanted, say: Callable[[str], None]
) -> tuple[Run, ...]:
    runs = []
    for seed in seeds:
        spec = replace(source.spec, seed=seed, strategy=source.spec.strategy.switched(name))
        runs.append(simulate(source.parts(spec), source.evaluator(spec), wanted.fleet, ask_s=wanted.ask_s))
    say(f"{name}: {len(runs)} {'run' if len(runs) == 1 else 'runs'} of {len(runs[0].trials)} trials")
    return tuple(runs)


@contextlib.contextmanager
def _source(path: Path, wanted: Wanted) -> Iterator[_Table | _Function]:
    """Where values come from. Users' functions run in this process, with the file's folder as theirs."""
    if wanted.table is not None:
        spec, table = _budgeted(load(path), wanted.trials), Table.load(wanted.table)
        warned = () if spec.warm_start is None else ("[warm_start] is left out: it speaks of another space",)
        yield _Table(table_spec(spec, table), table, wanted.useful, warned=warned)
        return
    spec = load(path)
    if spec.evaluation is None:
        raise UserError(
            f"{path}: trains its networks, which no simulation can foresee. Give --table with recorded results, "
            "or [evaluation] run in the file"
        )
    if wanted.useful:
        raise UserError("--useful: is for tables. Give best and worst of the objectives in the study file")
    prepared = prepare(path)
    prepared = replace(prepared, spec=_warmed(_budgeted(prepared.spec, wanted.trials), prepared))
    with in_folder(path.parent):
        yield _Function(prepared)


def _budgeted(spec: StudySpec, trials: int | None) -> StudySpec:
    return spec if trials is None else replace(spec, budget=replace(spec.budget, trials=trials, time_s=None))


def _warmed(spec: StudySpec, prepared: Prepared) -> StudySpec:
    """With what the file of a warm start lists; another study's rows are in a database, which is not asked here."""
    if spec.warm_start is None:
        return spec
    found = tuple(each.json for each in prepared.warm_start.architectures)
    return replace(spec, warm_start=replace(spec.warm_start, found=found))


class _Table:
    """Values from a benchmark table."""

    def __init__(self, spec: StudySpec, table: Table, useful: Mapping[str, float], *, warned: tuple[str, ...]) -> None:
        self.spec, self._table, self._warned = spec, table, warned
        self._yardstick = table_yardstick(spec, table, useful=useful)  # a wrong bound is told before the runs

    def parts(self, spec: StudySpec) -> Parts:
        return table_parts(spec, self._table)

    def evaluator(self, spec: StudySpec) -> Evaluator:  # noqa: ARG002 - a table says the same for every seed
        return self._table

    def yardstick(self, runs: Sequence[Run]) -> Yardstick:  # noqa: ARG002 - its true front is known
        return self._yardstick

    def notes(self) -> tuple[str, ...]:
        table = self._table
        notes = [f"the space is that of the table {table.name}: {table.space.size:,} networks"]
        if not table.has_durations:
            notes.append(f"the table has no durations: every evaluation takes {DEFAULT_S:g} s at speed 1")
        return (*notes, *self._warned)


class _Function:
    """Values from the user's own function."""

    def __init__(self, prepared: Prepared) -> None:
        self.spec, self._prepared = prepared.spec, prepared
        self._known: dict[tuple[int, str], Outcome] = {}
        self._evaluators: list[FunctionEvaluator] = []

    def parts(self, spec: StudySpec) -> Parts:
        study = Study(
            id=STUDY, name=spec.name, spec=spec, data=self._prepared.facts, state=StudyState.RUNNING
        )  # fmt: skip
        return build_parts(study, allow=None)

    def evaluator(self, spec: StudySpec) -> Evaluator:
        evaluator = FunctionEvaluator(replace(self._prepared, spec=spec), known=self._known)
        self._evaluators.append(evaluator)
        return evaluator

    def yardstick(self, runs: Sequence[Run]) -> Yardstick:
        return union_yardstick(self.spec, runs, stated=_stated(self.spec))

    def notes(self) -> tuple[str, ...]:
        notes = []
        if not any(evaluator.says_durations for evaluator in self._evaluators):
            notes.append(f"evaluations return no {DURATION}: each takes {DEFAULT_S:g} s at speed 1")
        if self.spec.warm_start is not None and self.spec.warm_start.study is not None:
            notes.append("what [warm_start] takes from another study is left out: it is in a database")
        problems = [problem for evaluator in self._evaluators for problem in evaluator.problems]
        if problems:
            several = "1 evaluation" if len(problems) == 1 else f"{len(problems)} evaluations"
            notes.append(f"{several} of your function gave no result; the first: {problems[0]}")
        return tuple(notes)


def _stated(spec: StudySpec) -> Bounds:
    return {
        name: (each.best, each.worst)
        for name, each in spec.objectives.items()
        if each.best is not None and each.worst is not None
    }


def write_rows(path: Path, simulated: Simulated) -> int:
    """A CSV row for each trial of each run, in the order of strategies, seeds and trials; how many there are.

    Raises:
        UserError: it can't be written.
    """
    names = [objective.name for objective in history_objectives(simulated.spec)]
    fixed = ("study", "strategy", "seed", "trial", "proposed_at", "finished_at", "worker", "state", "architecture")
    n_rows = 0
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow((*fixed, *names))
            for strategy, runs in simulated.runs.items():
                for seed, run in zip(simulated.seeds, runs, strict=True):
                    writer.writerows(_cells(simulated.spec.name, strategy, seed, run, names))
                    n_rows += len(run.trials)
    except OSError as error:
        raise UserError(f"--out {path}: can't be written: {error.strerror}. Name another file") from error
    return n_rows


def _cells(study: str, strategy: str, seed: int, run: Run, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
    for row in run.trials:
        worker = "" if row.worker is None else row.worker
        values = (row.values.get(name, "") for name in names)
        times = (round(row.proposed_at_s, 6), round(row.finished_at_s, 6))
        yield study, strategy, seed, row.number, *times, worker, row.state.value, row.architecture.json, *values
