"""One simulated study of one strategy on one problem, and what is written down of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from search_peers import PEERS, Peer, peer
from search_problems import Problem, volumes

from nasd.controller.mind import Parts
from nasd.controller.objectives import history_limits, history_objectives
from nasd.domain.architecture import Architecture
from nasd.domain.ids import StudyId
from nasd.domain.seeding import seed_of
from nasd.domain.study import BudgetSpec, EvaluationSpec, SpaceSpec, StrategySpec, StudySpec
from nasd.simulator import Fleet, Outcome, Run, simulate
from nasd.strategies import build
from nasd.strategies.base import SearchStrategy, Setting

SPEEDS = (1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25)
CURVE, UTILISATION = "curve", "utilisation"


@dataclass(frozen=True, slots=True)
class Told:
    """The problem as an evaluator; `seed` picks the run that is told."""

    problem: Problem
    seed: int

    def evaluate(self, architecture: Architecture, rng: np.random.Generator) -> Outcome:  # noqa: ARG002 - keyed by the seed
        """See `nasd.simulator.Evaluator`."""
        values = self.problem.told(architecture, self.seed)
        return Outcome(values=values, duration_s=self.problem.duration_s(architecture))


def study_spec(problem: Problem, label: str, *, seed: int, trials: int, n_workers: int) -> StudySpec:
    """The study of `label`: a strategy's name, with settings behind it as in `nsga2@population=20`, or a peer's."""
    name, *settings = label.split("@")
    if name in PEERS:
        strategy = StrategySpec(baselines=False, in_flight=n_workers)  # look-ahead is a handicap of our own
    else:
        pairs = [setting.partition("=") for setting in settings]
        strategy = StrategySpec(use=name, baselines=False, **{key: _read(value) for key, _, value in pairs})
    return StudySpec(
        name="bench",
        seed=seed,
        space=SpaceSpec(kind=problem.kind),
        evaluation=EvaluationSpec(run="bench:evaluate"),
        objectives=problem.objectives,
        limits=problem.limits,
        strategy=strategy,
        budget=BudgetSpec(trials=trials),
    )


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def fresh_strategy(problem: Problem, label: str, spec: StudySpec) -> SearchStrategy:
    """A strategy that knows what a study would tell it: nothing of the box, nothing of true values."""
    setting = Setting(
        space=problem.space, objectives=history_objectives(spec), limits=history_limits(spec), costs=problem.costs
    )
    name = label.partition("@")[0]
    if name in PEERS:
        return peer(name, setting, seed_of("peer", spec.seed) & 0x7FFF_FFFF)
    return build(spec.strategy, setting)


def version_of(problem: Problem, label: str) -> str:
    """Of the strategy; records of another version are made anew."""
    return fresh_strategy(problem, label, study_spec(problem, label, seed=0, trials=1, n_workers=1)).version


def record(
    problem: Problem,
    label: str,
    seed: int,
    *,
    trials: int,
    mode: str = CURVE,
    speeds: tuple[float, ...] = SPEEDS,
) -> dict[str, Any]:
    """Run it; the line to keep.

    Args:
        mode: `curve`: asking takes no virtual time, so that the same seed gives the same curve on every machine;
            `utilisation`: the real time of every ask is charged to the virtual clock.
    """
    spec = study_spec(problem, label, seed=seed, trials=trials, n_workers=len(speeds))
    strategy = fresh_strategy(problem, label, spec)
    parts = Parts(study=StudyId(1), spec=spec, space=problem.space, strategy=strategy)
    fleet = Fleet(speeds=speeds, jitter=0.1)
    run = simulate(parts, Told(problem, seed), fleet, ask_s=0.0 if mode == CURVE else None)
    scoring = problem.scoring(seed)
    true = [problem.scored(row.architecture, seed) for row in run.learned()]
    return {
        "table": problem.name,
        "strategy": label,
        "seed": seed,
        "trials": trials,
        "mode": mode,
        "version": strategy.version,
        "digest": problem.digest,
        "box": seed % problem.n_boxes,
        "true": scoring.true,
        "hv": volumes(scoring.normalise(true)).round(6).tolist(),
        "ended": run.ended,
        **_speed(run),
        **_helped(strategy),
    }


def _speed(run: Run) -> dict[str, Any]:
    asks = np.array(run.ask_s) * 1e3
    return {
        "utilisation": round(run.utilisation, 5),
        "wall_s": round(run.wall_s, 1),
        "ask_ms": {
            "median": round(float(np.median(asks)), 3),
            "p99": round(float(np.quantile(asks, 0.99)), 3),
            "max": round(float(asks.max()), 3),
        },
    }


def _helped(strategy: SearchStrategy) -> Mapping[str, int]:
    if not isinstance(strategy, Peer):
        return {}
    return {"duplicates": strategy.n_duplicates, "illegal": strategy.n_illegal, "random": strategy.n_random}
