"""ExecuTorch with XNNPACK: a network lowered to a `.pte` file, and run from one. Its Python runtime needs torch."""

from __future__ import annotations

import warnings
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nasd.domain.data import Problem
from nasd.domain.devices import DeviceSpec
from nasd.domain.measurement import JsonObject
from nasd.errors import CandidateFault
from nasd.nets.counting import example_inputs
from nasd.nets.runtime import candidate_memory, is_out_of_memory, versions
from nasd.runtimes.onnx_export import TOLERANCE, largest_difference


class ExecutorchRunner:
    """See `nasd.runtimes.base.Runner`."""

    def __init__(self, method: Any, inputs: Tensor, device: DeviceSpec, threads: int) -> None:
        self._method, self._inputs, self._device, self._threads = method, [inputs], device, threads
        self.n_samples = len(inputs)

    @cached_property
    def conditions(self) -> JsonObject:
        return {
            **versions(),
            "executorch": version("executorch"),
            "runtime": str(self._device.runtime),
            "provider": "cpu",
            "device": "cpu",
            "backend": "xnnpack",
            "precision": str(self._device.precision),
            "batch": self.n_samples,
            "threads": self._threads,
        }

    def run(self) -> None:
        self._method.execute(self._inputs)

    def close(self) -> None:
        del self._method


def open_pte(path: Path, device: DeviceSpec, problem: Problem, *, seed: int) -> ExecutorchRunner:
    """The network in `path`, ready to be run on `device.batch` random samples.

    Raises:
        CandidateFault: `unsupported`, its batch is fixed to another one.
    """
    batch, threads = device.batch or 1, device.threads or 1
    _use_threads(threads)
    method = _method(path)
    fixed = method.metadata.input_tensor_meta(0).sizes()[0]
    if fixed != batch:
        raise CandidateFault(
            "unsupported", f"the network was exported for a batch of {fixed}; this device takes {batch}"
        )
    return ExecutorchRunner(method, example_inputs(problem, batch, seed=seed), device, threads)


def export_pte(module: nn.Module, inputs: Tensor, path: Path, *, tolerance: float = TOLERANCE) -> float:
    """Write `module` as it evaluates, for exactly the batch of `inputs`; the largest error of its answers.

    Raises:
        CandidateFault: `unsupported`, it can't be lowered, or the file's answers differ by more than `tolerance`.
    """
    module.eval()
    try:
        with torch.no_grad(), candidate_memory("exporting the network"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own internals
            path.write_bytes(_lowered(module, inputs))
            found = _method(path).execute([inputs])[0]
            largest = largest_difference(module(inputs).numpy(), found.numpy())
    except Exception as error:  # its passes raise whatever an unknown operation comes to
        if is_out_of_memory(error) or isinstance(error, CandidateFault):
            raise
        line = str(error).strip().partition("\n")[0][:300]
        raise CandidateFault(
            "unsupported", f"the network can't be lowered to ExecuTorch: {type(error).__name__}: {line}"
        ) from error
    if not largest <= tolerance * max(1.0, float(found.abs().max())):
        raise CandidateFault(
            "unsupported", f"the network lowered to ExecuTorch answers otherwise, by up to {largest:.2g}"
        )
    return largest


def _lowered(module: nn.Module, inputs: Tensor) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(module, (inputs,))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    return bytes(lowered.buffer)


def _method(path: Path) -> Any:
    from executorch.runtime import Runtime

    return Runtime.get().load_program(path).load_method("forward")


def _use_threads(n: int) -> None:
    """XNNPACK's pool is the process's own, and as large as the machine until somebody says otherwise."""
    from executorch.extension.pybindings import portable_lib

    if portable_lib._threadpool_get_thread_count() != n:
        portable_lib._unsafe_reset_threadpool(n)  # unsafe while a network runs; none does
