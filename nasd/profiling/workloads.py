"""What a fresh process does while its memory is watched; arguments are JSON values. See `process_memory`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.nets import build_module
from nasd.nets.allocator import memory_kept
from nasd.nets.counting import example_inputs
from nasd.nets.runtime import pick_device, place, threads

_PASSES = 3  # the first one allocates, later ones reuse


@torch.inference_mode()
def inference(family: str, genes: Mapping[str, Any], problem: Mapping[str, Any], batch: int) -> None:
    """Some forward passes of `batch` samples, as they are measured: eager, float32, one thread."""
    asked = Problem(**{**problem, "input_shape": tuple(problem["input_shape"]), "task": Task(problem["task"])})
    device = pick_device()
    with memory_kept(), threads(1):
        module = build_module(Architecture.of(family, genes), problem=asked, seed=0)
        is_inside = place(module, device, input_shape=asked.input_shape)
        module.eval()
        inputs = example_inputs(asked, batch).to(device)
        if is_inside:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        for _ in range(_PASSES):
            module(inputs)
