"""One round of measuring: build, warm up, take the device alone for the timed windows, report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import nn

from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts
from nasd.domain.measurement import UNITS, JsonObject, Measurement
from nasd.domain.study import MeasureSpec, StudySpec
from nasd.nets import build_module
from nasd.nets.allocator import memory_kept
from nasd.nets.counting import example_inputs
from nasd.nets.runtime import candidate_memory, pick_device, place, threads, versions
from nasd.profiling import latency, memory
from nasd.profiling.machine import Load, processor


def measure(
    architecture: Architecture,
    spec: StudySpec,
    facts: DataFacts,
    *,
    seed: int,
    exclusive: Callable[[], AbstractContextManager[None]],
    build: Callable[[int], nn.Module] | None = None,
) -> tuple[Measurement, ...]:
    """`latency_ms` and `peak_memory_bytes` of one forward pass of `spec.measure.batch` samples, eager, float32.

    Weights and inputs are random by `seed`, the weights untrained: neither quantity depends on them. `exclusive` is
    entered once, for the timed windows alone (`windows` times `window_s`); who else uses the device stands still then.
    `build` makes the module from a seed; None: the architecture's family has a rule for it.

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
        peak = memory.peak_bytes(module, inputs)
        latency.warm_up(module, inputs, seconds=how.warmup_s)
        with exclusive():
            load = Load.start()
            windows = latency.timed_windows(module, inputs, n=how.windows, seconds=how.window_s)
            others = load.stop()
        conditions = _conditions(how, device) | ({"memory_format": "channels_last"} if is_inside else {})
    return (
        _latency(windows, {**conditions, **others, "windows": [window.summary() for window in windows]}),
        Measurement(
            name="peak_memory_bytes",
            value=float(peak.total),
            unit=UNITS["peak_memory_bytes"],
            conditions={**conditions, "state_bytes": peak.state, "input_bytes": peak.inputs, "forward_bytes": peak.new},
        ),
    )


def _latency(windows: tuple[latency.Window, ...], conditions: JsonObject) -> Measurement:
    estimate = latency.estimate(windows)
    return Measurement(
        name="latency_ms",
        value=estimate.value_ms,
        unit=UNITS["latency_ms"],
        spread=estimate.spread_ms,
        n=estimate.n,
        conditions=conditions,
    )


def _conditions(how: MeasureSpec, device: torch.device) -> dict[str, object]:
    return {
        **versions(),
        "runtime": "torch-eager",
        "device": str(device),
        "processor": processor() if device.type == "cpu" else torch.cuda.get_device_name(device),
        "precision": "float32",
        "batch": how.batch,
        "threads": how.threads,
    }
