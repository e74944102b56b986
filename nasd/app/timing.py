"""Builds and steps a few networks in this process, to know what a trial costs here before a study begins."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from contextlib import nullcontext
from statistics import median

import numpy as np

from nasd.app.plan import Plan, Timing, decisions, extremes, spend, stage_needs, warnings
from nasd.app.prepared import Prepared
from nasd.domain.architecture import Architecture
from nasd.domain.measurement import Stage
from nasd.domain.objective import Limit
from nasd.domain.seeding import seed_of
from nasd.errors import CandidateFault

_STEPS = 10
_SKIPPED = 3  # first steps allocate and are slower
_N_RANDOM = 3
_LONG_S = 3600.0


def make_plan(prepared: Prepared, *, workers: int) -> Plan:
    """Time the smallest, the largest and three random networks, and say what the study will take."""
    spec, space = prepared.spec, prepared.space
    rng = np.random.Generator(np.random.PCG64(seed_of("plan", spec.seed)))
    by_gene = decisions(space, rng)
    smallest, largest = extremes(space, rng)
    networks = [("smallest", smallest), ("largest", largest)]
    networks += [(f"random {n}", space.sample(rng)) for n in range(1, _N_RANDOM + 1)]
    lacking = _lacking(prepared)
    timings = () if lacking or Stage.RUN in spec.stages() else _timings(prepared, networks)
    device = "cpu" if lacking else _device()
    trials, wall_s = spend(spec, timings, workers=workers)
    if device == "cpu" and wall_s is not None and wall_s.likely > _LONG_S:
        lacking = (*lacking, "no GPU here: training runs on the CPU")
    return Plan(
        study=spec.name,
        space=space.name,
        space_size=space.size,
        decisions=by_gene,
        objectives=tuple(spec.objectives),
        limits=tuple(_limit_text(limit) for kind in spec.device_kinds() for limit in spec.limits_on(kind)),
        stages=stage_needs(spec, device=device, n_train=prepared.facts.n_train),
        workers=workers,
        timings=timings,
        trials=trials,
        wall_s=wall_s,
        unavailable=lacking,
        warnings=warnings(spec, by_gene=by_gene, trials=trials, space_size=space.size, timings=timings),
    )


def _lacking(prepared: Prepared) -> tuple[str, ...]:
    if Stage.RUN in prepared.spec.stages() or importlib.util.find_spec("torch") is not None:
        return ()
    return ("torch is not installed here, so nothing can be trained, measured or timed: install nasd[train]",)


def _device() -> str:
    from nasd.nets.runtime import pick_device

    return str(pick_device())


def _limit_text(limit: Limit) -> str:
    bounds = (
        f"{sign} {value:g}" for sign, value in ((">=", limit.minimum), ("<=", limit.maximum)) if value is not None
    )
    return f"{limit.of} {' and '.join(bounds)}"


def _timings(prepared: Prepared, networks: Sequence[tuple[str, Architecture]]) -> tuple[Timing, ...]:
    _timed(prepared, "warm-up", networks[0][1])  # the process's first network pays for loading kernels
    return tuple(_timed(prepared, name, architecture) for name, architecture in networks)


def _timed(prepared: Prepared, name: str, architecture: Architecture) -> Timing:
    params = prepared.space.counts(architecture)["params"]
    stages = prepared.spec.stages()
    try:
        step_s, train_s = _train_seconds(prepared, architecture) if Stage.TRAIN in stages else (0.0, 0.0)
        measure_s = _measure_seconds(prepared, architecture) if Stage.MEASURE in stages else 0.0
    except CandidateFault as fault:
        return Timing(name=name, params=params, problem=str(fault))
    return Timing(name=name, params=params, step_ms=step_s * 1000, train_s=train_s, measure_s=measure_s)


def _train_seconds(prepared: Prepared, architecture: Architecture) -> tuple[float, float]:
    """(of one step, of a whole training): building and validating happen once, steps as often as the recipe says."""
    import nasd.data
    from nasd.nets.runtime import threads
    from nasd.training import train

    spec = prepared.spec
    split = nasd.data.search_split(spec.data, prepared.facts)
    times: list[float] = []
    started = time.perf_counter()
    with threads(1):
        try:
            train(
                architecture,
                spec,
                split,
                seed=spec.seed & 0x7FFF_FFFF,
                steps=_STEPS,
                at_step=lambda _: times.append(time.perf_counter()),
            )
        except CandidateFault as fault:
            if fault.kind != "diverged":  # ten steps may end anywhere; they were timed all the same
                raise
    total = time.perf_counter() - started
    step_s = median(np.diff(times[_SKIPPED:]).tolist())
    once_s = max(0.0, total - _STEPS * step_s)
    return step_s, once_s + spec.train.steps * step_s


def _measure_seconds(prepared: Prepared, architecture: Architecture) -> float:
    from nasd.profiling import measure

    spec = prepared.spec
    started = time.perf_counter()
    measure(architecture, spec, prepared.facts, seed=spec.seed & 0x7FFF_FFFF, exclusive=nullcontext)
    return (time.perf_counter() - started) * spec.measure.rounds
