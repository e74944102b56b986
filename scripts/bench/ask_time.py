"""CPU time of one proposal, of learning one fact, of a rebuild from rows and of a resume from the cache.

    python scripts/bench/ask_time.py [--space mlp|toy] [--strategy nsga2] [--seed 0]

Drives a whole StudyMind as the controller does, with 8 trials in flight and 3 objectives whose values are arithmetic:
    ask      the trial's generator, the strategy (which takes in what was learned since) and the space
    row      the new trial as a row to store: counts, limits, seeds
    learn    one fact: history, front, hypervolume in the frozen box
Thread CPU time, so that busy neighbours count less; still, compare only runs of the same minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from math import exp, log
from pathlib import Path
from time import thread_time
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from toy_study import DATA, SPACE

from nasd import spaces, strategies
from nasd.controller.advance import advance, new_trial
from nasd.controller.mind import Parts, StudyMind, rebuild
from nasd.controller.objectives import history_objectives
from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.domain.history import Proposal
from nasd.domain.ids import StudyId, TrialId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.space import SearchSpace
from nasd.domain.study import BudgetSpec, ObjectiveSpec, SpaceSpec, StrategySpec, StudySpec
from nasd.ports.trials import Finished, StoredTrial
from nasd.strategies.base import Setting

LENGTHS = (100, 1_000, 10_000)
IN_FLIGHT = 8
N_TIMED = 400
T = TypeVar("T")


class Study:
    """One study's mind, driven by hand; results come in the order of their proposals."""

    def __init__(self, *, space: str, strategy: str, seed: int) -> None:
        self.spec = StudySpec(
            name="bench",
            seed=seed,
            objectives={name: ObjectiveSpec() for name in ("val_error", "latency_ms", "params")},
            strategy=StrategySpec(use=strategy, in_flight=IN_FLIGHT),
            budget=BudgetSpec(trials=1_000_000),
        )
        self.space: SearchSpace = (
            SPACE
            if space == "toy"
            else spaces.build(SpaceSpec(kind=space), Problem(input_shape=(1, 8, 8), n_outputs=10))
        )
        self.mind = StudyMind(self.parts())
        self.seen_facts: list[int] = []

    def parts(self) -> Parts:
        strategy = strategies.build(
            self.spec.strategy,
            Setting(space=self.space, objectives=history_objectives(self.spec), costs=self.space.counts),
        )
        baselines = () if self.space is SPACE else spaces.baselines(self.space)
        return Parts(
            study=StudyId(1), spec=self.spec, space=self.space, strategy=strategy, baselines=baselines, data=DATA
        )

    def ask(self) -> tuple[float, float]:
        """Propose a trial: milliseconds of the proposal and of its row."""
        asked, proposal = timed(self.mind.propose)
        if not isinstance(proposal, Proposal):
            raise TypeError(f"the strategy waits: {proposal.reason}")
        made, _ = timed(lambda: new_trial(self.mind, proposal))
        self.seen_facts.append(self.mind.history.learned_seq)
        self.mind.history.add(proposal)
        return asked, made

    def learn(self) -> float:
        """Learn the oldest trial in flight: milliseconds."""
        number = self.mind.history.in_flight[0]
        values = evaluated(self.space, self.mind.history.architectures[number])
        item = Finished(TrialId(number), number, "result", State.COMPLETED, values, 0.0)
        return timed(lambda: advance(self.mind, [item], target=0))[0]

    def stored(self) -> list[StoredTrial]:
        history, strategy = self.mind.history, self.mind.parts.strategy
        return [
            StoredTrial(
                number=TrialNumber(number),
                proposal=Proposal(architecture, history.operators[number], history.parents[number]),
                proposed_from=self.seen_facts[number],
                strategy=strategy.name,
                strategy_version=strategy.version,
            )
            for number, architecture in enumerate(history.architectures)
        ]

    def resume(self, *, with_cache: bool) -> float:
        """Rebuild a mind from rows and make its first proposal: milliseconds."""
        parts, rows, facts = self.parts(), self.stored(), list(self.mind.history.facts)
        kept = self.mind.parts.strategy.cache()
        if with_cache and kept is not None:
            parts.strategy.restore(*kept)
        return timed(lambda: rebuild(parts, rows, facts).propose())[0]


def timed(act: Callable[[], T]) -> tuple[float, T]:
    began = thread_time()
    done = act()
    return (thread_time() - began) * 1e3, done


def evaluated(space: SearchSpace, architecture: Architecture) -> dict[str, float]:
    """Error falls with size, latency and size cost; a little of each is the architecture's own."""
    params = space.counts(architecture)["params"]
    own = int(architecture.key[:6], 16) / 0xFFFFFF
    error = 0.05 + 0.8 * exp(-0.15 * log(params)) + 0.05 * own
    return {"val_error": error, "params": float(params), "latency_ms": 0.05 + params / 2e4 * (1 + 0.3 * own)}


def shown(name: str, values: np.ndarray) -> str:
    return f"{name} median {np.median(values):.3f} p95 {np.quantile(values, 0.95):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="mlp")
    parser.add_argument("--strategy", default="nsga2")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    study = Study(space=options.space, strategy=options.strategy, seed=options.seed)
    for _ in range(IN_FLIGHT):
        study.ask()
    for length in LENGTHS:
        while len(study.mind.history) < length:
            study.learn()
            study.ask()
        learned, asked, made = np.array([(study.learn(), *study.ask()) for _ in range(N_TIMED)]).T
        front = next(iter(study.mind.fronts.values()))
        print(
            f"{options.space} {options.strategy}, from {length} trials (ms of CPU): {shown('ask', asked)}; "
            f"{shown('row', made)}; {shown('learn', learned)}; front {len(front)}; "
            f"rebuild {study.resume(with_cache=False):.1f}, with the cache {study.resume(with_cache=True):.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
