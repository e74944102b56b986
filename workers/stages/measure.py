"""Measuring: a network's latency, memory and energy on this machine, while nothing else of nasd's runs on it.

What its device kind asks for decides how it is run: torch's runtimes build the network on the spot, the others run a
file that was exported elsewhere. Nothing here imports torch before it is known to be needed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from nasd.domain.data import DataFacts
from nasd.domain.measurement import Measurement
from nasd.domain.study import StudySpec
from nasd.domain.study_search import Statistic
from nasd.errors import WorldFault
from nasd.profiling.energy import measure_energy, open_meter
from nasd.profiling.machine import processor
from nasd.profiling.measuring import measure_runner
from nasd.profiling.sentinel import Sentinel, sentinel_of
from nasd.profiling.sustained import sustained
from nasd.runtimes.base import Runner
from workers.assignment import Assignment
from workers.hooks import Hooks
from workers.stages.limits import refuse_over_limit

SUSTAINED_S = 60.0  # where a limit does not say how long


def evaluate(assignment: Assignment, spec: StudySpec, facts: DataFacts | None, hooks: Hooks) -> tuple[Measurement, ...]:
    """Make the network ready, then measure what the study speaks of on this kind.

    Raises:
        CandidateFault: it does not fit, is over a limit, can't be run here, or the user's module can't be used.
        WorldFault: the study has no recorded data; the file is missing; this machine lacks the processor or the meter.
    """
    if facts is None:
        raise WorldFault("no_data_facts", f"study {assignment.study_name}: no input shape recorded; create it again")
    if spec.device_on(assignment.device_kind).needs_artifact:
        from workers.stages.measure_artifact import evaluate as of_kind
    else:
        from workers.stages.measure_module import evaluate as of_kind
    measured = tuple(
        replace(one, conditions={"processor": processor(), **one.conditions})
        for one in of_kind(assignment, spec, facts, hooks)
    )
    refuse_over_limit(spec, assignment.device_kind, measured)
    return measured


def observed(runner: Runner, assignment: Assignment, spec: StudySpec, hooks: Hooks) -> Iterator[Measurement]:
    """Latency, and what else the study's objectives and limits on this kind ask of a network that runs.

    Raises:
        WorldFault: `no_meter`, energy is asked for.
    """
    yield measure_runner(runner, spec.measure, exclusive=hooks.exclusive, sentinel=_sentinel(hooks.lock_directory))
    seconds = _sustained_s(assignment, spec)
    if seconds is not None:
        yield sustained(runner, seconds, exclusive=hooks.exclusive)
    if "energy_mj" in wanted_on(assignment, spec):
        from nasd.config import meter_function

        is_on_gpu = runner.conditions["device"] != "cpu"
        meter = open_meter(on_gpu=is_on_gpu, external=meter_function(), allow=hooks.allow)
        if meter is None:
            raise WorldFault("no_meter", "this machine has no energy meter; measure energy_mj on a kind that has one")
        with closing(meter):
            yield measure_energy(runner, meter, exclusive=hooks.exclusive)


def wanted_on(assignment: Assignment, spec: StudySpec) -> frozenset[str]:
    """Names of the quantities that the study speaks of on this kind."""
    kind = assignment.device_kind
    return frozenset(each.name for each in spec.objectives_on(kind)) | {each.of for each in spec.limits_on(kind)}


def _sustained_s(assignment: Assignment, spec: StudySpec) -> float | None:
    """How long the longest run is that a limit on this kind is judged on; None: no limit is on a p95."""
    limits = (
        each for each in spec.limits if each.statistic is Statistic.P95 and each.on in (None, assignment.device_kind)
    )
    return max((each.sustained_s or SUSTAINED_S for each in limits), default=None)


@functools.cache
def _sentinel(folder: Path) -> Sentinel:
    """This process's, whose readings a device's lasting state is told from."""
    return sentinel_of(folder)
