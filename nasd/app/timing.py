"""Builds and steps a few networks in this process, to know what a trial costs here before a study begins."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import psutil  # type: ignore[import-untyped]

from nasd.app.foresight import expected, foresee
from nasd.app.plan import Plan, Timing, decisions, extremes, spend, stage_needs, warnings
from nasd.app.prepared import Prepared
from nasd.app.users import in_folder
from nasd.config import meter_function
from nasd.controller.stages import ENERGY, needs
from nasd.domain.architecture import Architecture
from nasd.domain.ids import LOCAL
from nasd.domain.measurement import Stage
from nasd.domain.objective import Limit
from nasd.domain.recipe import searched
from nasd.domain.seeding import seed_of
from nasd.domain.study import ModelSpec, StudySpec
from nasd.errors import CandidateFault
from nasd.profiling.meters import available
from nasd.runtimes.offers import can_export, offers
from nasd.usercode import load_function

if TYPE_CHECKING:
    from nasd.nets.user import Builder

_STEPS = 10
_SKIPPED = 3  # first steps allocate and are slower
_LEAST_STEPS = 2
_PATIENCE_S = 5.0  # then fewer steps than _STEPS have to do
_N_RANDOM = 3
_LONG_S = 3600.0
_GIB = 2**30


class _Enough(Exception):
    """A network's steps are so slow that a few of them tell their time."""


class _StepClock:
    """Called before every step; `times` are when."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, step: int) -> None:
        self.times.append(time.perf_counter())
        if step >= _LEAST_STEPS and self.times[-1] - self.times[0] > _PATIENCE_S:
            raise _Enough


def make_plan(prepared: Prepared, *, speeds: tuple[float, ...]) -> Plan:
    """Time the smallest, the largest and three random networks, and say what the study will take.

    Args:
        speeds: of the workers, one each; 1: as fast as this machine.
    """
    import nasd.spaces

    spec, space = prepared.spec, prepared.space
    rng = np.random.Generator(np.random.PCG64(seed_of("plan", spec.seed)))
    by_gene = decisions(space, rng)
    networks, n_random = [], _N_RANDOM + 2
    if spec.is_counted_ahead:
        smallest, largest = extremes(space, rng)
        networks, n_random = [("smallest", smallest), ("largest", largest)], _N_RANDOM
    networks += [(f"random {n}", space.sample(rng)) for n in range(1, n_random + 1)]
    lacking = _lacking(prepared)
    timings = () if lacking or Stage.RUN in spec.stages() else _timings(prepared, networks)
    device = "cpu" if lacking else _device()
    trials, wall_s = spend(spec, timings, workers=sum(speeds))
    if device == "cpu" and wall_s is not None and wall_s.likely > _LONG_S:
        lacking = (*lacking, "no GPU here: training runs on the CPU")
    return Plan(
        study=spec.name,
        space=space.name,
        space_size=space.size,
        is_size_exact=nasd.spaces.is_size_exact(space),
        recipe_parameters=tuple(sorted(searched(spec))),
        decisions=by_gene,
        objectives=tuple(spec.objectives),
        is_scalar=bool(spec.scalar),
        limits=tuple(
            dict.fromkeys(_limit_text(limit) for kind in spec.device_kinds() for limit in spec.limits_on(kind))
        ),
        stages=stage_needs(spec, device=device, n_train=prepared.facts.n_train),
        workers=len(speeds),
        timings=timings,
        trials=trials,
        wall_s=wall_s,
        foreseen=foresee(prepared, timings, speeds=speeds),
        expected=expected(
            spec,
            trials=None if trials is None else trials.likely,
            space_size=space.size,
            n_decisions=sum(by_gene.values()),
        ),
        unavailable=(*lacking, *_lacking_for(spec)),
        warnings=warnings(spec, by_gene=by_gene, trials=trials, space_size=space.size, timings=timings),
    )


def _lacking(prepared: Prepared) -> tuple[str, ...]:
    if Stage.RUN in prepared.spec.stages() or importlib.util.find_spec("torch") is not None:
        return ()
    return ("torch is not installed here, so nothing can be trained, measured or timed: install nasd[train]",)


def _lacking_for(spec: StudySpec) -> tuple[str, ...]:
    """What this machine lacks to measure as the study's kinds are measured; another kind has workers of its own."""
    if Stage.MEASURE not in spec.stages():
        return ()
    found = []
    here, needed = set(offers()), needs(spec, Stage.MEASURE, LOCAL)
    if LOCAL in spec.device_kinds():
        found += [
            f"{word} can't be run here, so that nothing is measured on local"
            for word in needed
            if word not in here | {ENERGY}
        ]
        if ENERGY in needed and meter_function() is None and available(on_gpu="gpu" in here) is None:
            found.append("no energy meter can be read here: energy_mj has no value on local, and no stand-in is used")
    if Stage.EXPORT in spec.stages() and not can_export():
        found.append("networks can't be exported here, so that some other worker must: install nasd[export]")
    others = [kind for kind in spec.device_kinds() if kind != LOCAL]
    if others:
        found.append(f"{', '.join(others)}: measured by workers of their own, which this machine can't speak for")
    return tuple(found)


def _device() -> str:
    from nasd.nets.runtime import pick_device

    return str(pick_device())


def _limit_text(limit: Limit) -> str:
    bounds = (
        f"{sign} {value:g}" for sign, value in ((">=", limit.minimum), ("<=", limit.maximum)) if value is not None
    )
    return f"{limit.of} {' and '.join(bounds)}" + (f" on {limit.device}" if limit.device else "")


def _timings(prepared: Prepared, networks: Sequence[tuple[str, Architecture]]) -> tuple[Timing, ...]:
    # what users' code and `model.init` print belongs into a trial's log; here it would bury the plan, or break its JSON
    with in_folder(prepared.folder), Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        _timed(prepared, "warm-up", networks[0][1])  # the process's first network pays for loading kernels
        return tuple(_timed(prepared, name, architecture) for name, architecture in networks)


def _timed(prepared: Prepared, name: str, architecture: Architecture) -> Timing:
    stages, params = prepared.spec.stages(), 0
    try:
        params = _params(prepared, architecture)
        if Stage.TRAIN in stages:
            _check_memory(prepared, architecture)
        step_s, train_s = _train_seconds(prepared, architecture) if Stage.TRAIN in stages else (0.0, 0.0)
        measure_s = _measure_seconds(prepared, architecture) if Stage.MEASURE in stages else 0.0
    except CandidateFault as fault:
        return Timing(name=name, params=params, problem=str(fault))
    return Timing(name=name, params=params, step_ms=step_s * 1000, train_s=train_s, measure_s=measure_s)


def _check_memory(prepared: Prepared, architecture: Architecture) -> None:
    """Refuse what training here would fill the memory with: the kernel would end this process, or another one.

    Weights, gradients and two moments, and a batch's outputs of all layers with their gradients.

    Raises:
        CandidateFault: `out_of_memory`.
    """
    counts, batch = prepared.space.counts(architecture), min(prepared.spec.train.batch, prepared.facts.n_train)
    needed = 4 * 4 * counts.get("params", 0) + 2 * batch * counts.get("activation_bytes", 0)
    free = psutil.virtual_memory().available
    if needed > free:
        text = f"training needs about {needed / _GIB:.1f} GiB of memory; {free / _GIB:.1f} GiB are free here"
        raise CandidateFault("out_of_memory", text)


def _builder(prepared: Prepared, architecture: Architecture) -> Builder | None:
    from nasd.nets.user import Builder
    from nasd.training.seeding import weights_seeded

    spec = prepared.spec
    if spec.model == ModelSpec():
        return None
    return Builder.of(architecture, spec, prepared.facts.problem, seeded=weights_seeded, allow=None)


def _params(prepared: Prepared, architecture: Architecture) -> int:
    """Counted by the space, or of the user's real module."""
    build = _builder(prepared, architecture)
    if prepared.spec.is_counted_ahead or build is None:
        return prepared.space.counts(architecture).get("params", 0)
    return sum(parameter.numel() for parameter in build(_seed(prepared)).parameters())


def _seed(prepared: Prepared) -> int:
    return prepared.spec.seed & 0x7FFF_FFFF


def _train_seconds(prepared: Prepared, architecture: Architecture) -> tuple[float, float]:
    """(of one step, of a whole training): building and validating happen once, steps as often as the recipe says."""
    import nasd.data
    from nasd.nets.runtime import threads
    from nasd.training import train

    spec, dotted = prepared.spec, prepared.spec.train.metric
    metric = None if dotted is None else load_function(dotted, what="train.metric", allow=None)
    split = nasd.data.search_split(spec.data, prepared.facts)
    clock = _StepClock()
    started = time.perf_counter()
    with threads(1), suppress(_Enough):
        try:
            train(
                architecture,
                spec,
                split,
                seed=_seed(prepared),
                steps=_STEPS,
                at_step=clock,
                build=_builder(prepared, architecture),
                metric=metric,
            )
        except CandidateFault as fault:
            if fault.kind != "diverged":  # ten steps may end anywhere; they were timed all the same
                raise
    total = time.perf_counter() - started
    steps_s = np.diff(clock.times).tolist()
    step_s = median(steps_s[_SKIPPED:] or steps_s[1:])
    once_s = max(0.0, total - sum(steps_s) - step_s)
    return step_s, once_s + spec.train.steps * step_s


def _measure_seconds(prepared: Prepared, architecture: Architecture) -> float:
    from nasd.profiling.measure import measure

    spec = prepared.spec
    started = time.perf_counter()
    measure(
        architecture,
        spec,
        prepared.facts,
        seed=_seed(prepared),
        exclusive=nullcontext,
        build=_builder(prepared, architecture),
    )
    return (time.perf_counter() - started) * spec.measure.rounds
