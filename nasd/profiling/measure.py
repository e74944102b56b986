"""One round of measuring an eager module: build, warm up, take the device alone for the timed windows, report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts
from nasd.domain.measurement import JsonObject, Measurement
from nasd.domain.study import MeasureSpec, StudySpec
from nasd.nets import build_module
from nasd.nets.allocator import memory_kept
from nasd.nets.counting import example_inputs
from nasd.nets.runtime import candidate_memory, pick_device, place, synchronise, threads, versions
from nasd.profiling import memory
from nasd.profiling.machine import processor
from nasd.profiling.measuring import measure_runner
from nasd.profiling.sentinel import Sentinel


@dataclass(frozen=True, slots=True)
class _Eager:
    """See `nasd.runtimes.base.Runner`."""

    module: nn.Module
    inputs: Tensor
    conditions: JsonObject

    @property
    def n_samples(self) -> int:
        return len(self.inputs)

    def run(self) -> None:
        self.module(self.inputs)
        synchronise(self.inputs.device)  # kernels are asynchronous: without this we time the launch

    def close(self) -> None:
        """Nothing is held."""


def measure(
    architecture: Architecture,
    spec: StudySpec,
    facts: DataFacts,
    *,
    seed: int,
    exclusive: Callable[[], AbstractContextManager[None]],
    build: Callable[[int], nn.Module] | None = None,
    sentinel: Sentinel | None = None,
) -> tuple[Measurement, ...]:
    """`latency_ms` and `peak_memory_bytes` of one forward pass of `spec.measure.batch` samples, eager, float32.

    Weights and inputs are random by `seed`, the weights untrained: neither quantity depends on them. `exclusive` is
    entered for each timed window; who else uses the device stands still then.
    `build` makes the module from a seed; None: the architecture's family has a rule for it. `sentinel` as in
    `measure_runner`.

    Raises:
        CandidateFault: `out_of_memory` or `unsupported`.
    """
    how, device = spec.measure, pick_device()
    with memory_kept(), threads(how.threads), candidate_memory("a forward pass", device):
        module = build_module(architecture, problem=facts.problem, seed=seed) if build is None else build(seed)
        is_inside = place(module, device, input_shape=facts.input_shape)
        module.eval().requires_grad_(requires_grad=False)
        inputs = example_inputs(facts.problem, how.batch, seed=seed).to(device)
        if is_inside:
            inputs = inputs.contiguous(memory_format=torch.channels_last)  # as it was trained
        conditions = _conditions(how, device) | ({"memory_format": "channels_last"} if is_inside else {})
        peak = memory.measured(module, inputs, conditions=conditions)
        with torch.inference_mode():
            latency = measure_runner(_Eager(module, inputs, conditions), how, exclusive=exclusive, sentinel=sentinel)
    return latency, peak


def _conditions(how: MeasureSpec, device: torch.device) -> dict[str, object]:
    return {
        **versions(),
        "runtime": "torch-eager",
        "device": str(device),
        "processor": processor() if device.type == "cpu" else torch.cuda.get_device_name(device),
        "precision": "fp32",
        "batch": how.batch,
        "threads": how.threads,
    }
