"""Measuring under torch's own runtimes: the network is built here, with untrained weights."""

from __future__ import annotations

from contextlib import closing

from nasd.domain.data import DataFacts
from nasd.domain.measurement import Measurement
from nasd.domain.study import StudySpec
from nasd.nets import build_module
from nasd.nets.runtime import candidate_memory
from nasd.profiling import memory
from nasd.runtimes.torch_runner import open_module, placed
from workers.assignment import Assignment
from workers.hooks import Hooks
from workers.stages.candidate import candidate
from workers.stages.measure import observed


def evaluate(assignment: Assignment, spec: StudySpec, facts: DataFacts, hooks: Hooks) -> tuple[Measurement, ...]:
    """See `workers.stages.measure`; model memory comes with it, the exact count of what a pass holds."""
    network = candidate(assignment, spec, facts, hooks)
    device = spec.device_on(assignment.device_kind)
    with candidate_memory("building the network"):
        if network.build is None:
            module = build_module(assignment.architecture, problem=facts.problem, seed=assignment.seed)
        else:
            module = network.build(assignment.seed)
    ready = placed(module, facts.problem, device, seed=assignment.seed)
    with candidate_memory("a forward pass", ready.inputs.device):
        peak = memory.measured(ready.module, ready.inputs, conditions=ready.conditions)
    with closing(open_module(ready)) as runner:
        measured = tuple(observed(runner, assignment, spec, hooks))
    return network.measured((*measured, peak))
