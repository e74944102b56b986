"""What `nasd plan` foresees by simulation: how long a study takes on a fleet, and which strategy should be ahead.

Durations are those of the networks that were timed; errors come from a made-up law that only steers the search as real
ones would: towards a front, on which small networks are common. Nothing is said about how good the front will be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from nasd.app.plan import TRIALS_PER_DECISION, Expected, Foreseen, Timing
from nasd.app.prepared import Prepared
from nasd.daemon.parts import build_parts
from nasd.domain.architecture import Architecture
from nasd.domain.objective import SOURCES, Source
from nasd.domain.seeding import seed_of
from nasd.domain.study import Direction, StudySpec
from nasd.ports.trials import Study, StudyState
from nasd.simulator.engine import simulate
from nasd.simulator.evaluator import Outcome
from nasd.simulator.fleet import Fleet
from nasd.simulator.studies import STUDY

MOST_SIMULATED = 300  # trials; a longer study is taken to go on at the same pace
_ASK_S = 0.01
_FEW_PER_DECISION = 2.0  # trials: fewer teach no strategy which choice mattered
_NEARLY_ALL = 0.5  # of the space: what is tried anyhow leaves little to choose


def foresee(prepared: Prepared, timings: Sequence[Timing], *, speeds: tuple[float, ...]) -> Foreseen | None:
    """Simulate the study on workers of these speeds; None where nothing was timed."""
    timed = sorted(
        (timing for timing in timings if timing.problem is None and timing.trial_s > 0), key=lambda each: each.params
    )  # fmt: skip
    if not timed:
        return None
    spec = _quick(prepared.spec)
    study = Study(
        id=STUDY, name=spec.name, spec=spec, data=prepared.facts, state=StudyState.RUNNING
    )  # fmt: skip
    parts = build_parts(study, allow=None)
    run = simulate(parts, _MadeUp(spec, parts.space.counts, timed), Fleet(speeds), ask_s=_ASK_S)
    trials, wall_s = len(run.trials), run.wall_s
    wanted = _wanted(prepared.spec, trials, wall_s)
    return Foreseen(
        speeds=speeds,
        trials=wanted,
        wall_s=wall_s * wanted / max(trials, 1),
        utilisation=run.utilisation,
        searched_by=spec.strategy.use,
    )


def expected(spec: StudySpec, *, trials: float | None, space_size: int, n_decisions: int) -> Expected:
    """The rule that docs/simulate.md gives: an expectation from sizes alone.

    Args:
        trials: likely number of them; None where it is unknown.
        space_size: distinct architectures, or at most so many.
    """
    if trials is None:
        return Expected(strategy=None, why="nothing could be timed, so the number of trials is not known")
    if trials >= _NEARLY_ALL * space_size:
        why = f"{trials:.0f} trials try most of the {space_size:,} networks anyhow: every strategy ends alike"
        return Expected(strategy=None, why=why)
    if n_decisions and trials < _FEW_PER_DECISION * n_decisions:
        why = f"{trials:.0f} trials for {n_decisions} decisions are too few to learn from: expect little over random"
        return Expected(strategy=None, why=why)
    ahead = [name for name in spec.objectives if SOURCES.get(name) is Source.COUNTED and spec.is_counted_ahead]
    known = f", and {', '.join(ahead)} of a network is known before it is trained" if ahead else ""
    per_decision = trials / max(n_decisions, 1)
    enough = "enough" if per_decision >= TRIALS_PER_DECISION else "few, but enough,"
    why = f"{per_decision:.0f} trials a decision are {enough} for its model of the error{known}"
    return Expected(strategy="screened", why=why)


def _quick(spec: StudySpec) -> StudySpec:
    """The study as far as its pace depends on it: no limits that need real values, a strategy that asks in no time."""
    use = "random" if spec.strategy.use == "random" else "nsga2"
    trials = min(spec.budget.trials or MOST_SIMULATED, MOST_SIMULATED)
    return replace(
        spec,
        limits=tuple(limit for limit in spec.limits if SOURCES.get(limit.of) is Source.COUNTED),
        strategy=replace(spec.strategy, use=use),
        budget=replace(spec.budget, trials=trials),
        warm_start=None,
    )


def _wanted(spec: StudySpec, simulated: int, wall_s: float) -> int:
    """How many trials the study's own budget allows at the simulated pace."""
    if simulated < min(spec.budget.trials or MOST_SIMULATED, MOST_SIMULATED):
        return simulated  # its time or its space is used up
    allowed = [spec.budget.trials] if spec.budget.trials is not None else []
    if spec.budget.time_s is not None:
        allowed.append(max(simulated, int(simulated * spec.budget.time_s / max(wall_s, 1e-9))))
    return min(allowed)


class _MadeUp:
    """Durations between those of the timed networks; errors that fall with size, latencies that rise with it."""

    def __init__(
        self, spec: StudySpec, counts: Callable[[Architecture], dict[str, int]], timed: Sequence[Timing]
    ) -> None:
        self._spec, self._counts = spec, counts
        self._log_params = np.log([max(timing.params, 1) for timing in timed])
        self._seconds = np.array([timing.trial_s for timing in timed])

    def evaluate(self, architecture: Architecture, rng: np.random.Generator) -> Outcome:
        """See `nasd.simulator.Evaluator`."""
        counts = self._counts(architecture)
        if "params" in counts:
            log_params = float(np.log(max(counts["params"], 1)))
            seconds = float(np.exp(np.interp(log_params, self._log_params, np.log(self._seconds))))
        else:
            at = int(rng.integers(len(self._seconds)))
            log_params, seconds = float(self._log_params[at]), float(self._seconds[at])
        own = seed_of("made up", architecture.key) / 2**63  # in [0, 1), the same for this network always
        return Outcome({**self._values(log_params, own), **counts}, seconds)

    def _values(self, log_params: float, own: float) -> dict[str, float]:
        """Each quantity under every name that facts may have for it."""
        values = {}
        grown = log_params - float(self._log_params[0])
        for name, objective in self._spec.objectives.items():
            sign = -1.0 if objective.direction is Direction.MAX else 1.0
            is_cost = SOURCES.get(name) in (Source.COUNTED, Source.MEASURED)
            value = float(np.exp(0.7 * grown)) if is_cost else float(np.exp(-0.3 * grown))
            value = sign * value * (0.8 + 0.4 * own)
            values[name] = value
            values |= {f"{name}@{kind}": value for kind in self._spec.device_kinds()}
        return values
