"""ONNX Runtime: an exported network on exactly the execution provider that was asked for. Imports no torch.

ONNX Runtime itself gives nodes that a provider can't run to the processor, and whole networks where the provider does
not load; a number that was measured so would be another device's. Both are refused here.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasd.domain.data import Problem
from nasd.domain.devices import DeviceSpec
from nasd.domain.measurement import JsonObject
from nasd.errors import CandidateFault, WorldFault
from nasd.runtimes.inputs import random_inputs

if TYPE_CHECKING:
    import onnxruntime as ort  # where it is used: exporters of other formats import this module's names without it

INPUT, OUTPUT, BATCH = "input", "output", "batch"  # names in every exported graph; the last one a dimension's
FACTS = "nasd."  # what keys of nasd's own begin with in a file's metadata
PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "dml": "DmlExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
_MEMORY: Mapping[str, str] = {"cuda": "cuda", "tensorrt": "cuda", "dml": "dml"}  # of inputs; the processor's elsewhere
_SILENT = 4  # what goes wrong is raised as well

Array = NDArray[np.float32 | np.int64]


class OnnxRunner:
    """See `nasd.runtimes.base.Runner`."""

    def __init__(self, session: ort.InferenceSession, inputs: Array, device: DeviceSpec) -> None:
        """Inputs and outputs are bound to memory of the provider's own, so that a pass copies nothing to and fro."""
        import onnxruntime as ort

        self._session, self._device, self.n_samples = session, device, len(inputs)
        memory = _MEMORY.get(_provider(device), "cpu")
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(INPUT, ort.OrtValue.ortvalue_from_numpy(inputs, memory, 0))
        self._binding.bind_output(OUTPUT, memory)
        self.run()
        self._binding.bind_ortvalue_output(OUTPUT, self._binding.get_outputs()[0])

    @cached_property
    def conditions(self) -> JsonObject:
        import onnxruntime as ort

        provider = _provider(self._device)
        return {
            "onnxruntime": ort.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "runtime": str(self._device.runtime),
            "provider": provider,
            "device": provider,
            "precision": str(self._device.precision),
            "batch": self.n_samples,
            "threads": self._device.threads,
            "artifact": facts_of(self._session),
        }

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def output(self) -> NDArray[np.float32]:
        """Of the last pass."""
        found: NDArray[np.float32] = self._binding.copy_outputs_to_cpu()[0]
        return found

    def close(self) -> None:
        del self._binding, self._session  # the pool of threads goes with them


def open_onnx(path: Path, device: DeviceSpec, problem: Problem, *, seed: int) -> OnnxRunner:
    """The network in `path`, ready to be run on `device.batch` random samples.

    Raises:
        WorldFault: `wrong_processor`, the provider is not here or does not run all of the network.
        CandidateFault: `unsupported`, its batch is fixed to another one; `out_of_memory`.
    """
    batch = device.batch or 1
    session = open_session(path, provider=_provider(device), threads=device.threads or 1, batch=batch)
    fixed = session.get_inputs()[0].shape[0]
    if isinstance(fixed, int) and fixed != batch:
        raise CandidateFault(
            "unsupported", f"the network could be exported for a batch of {fixed} alone; this device takes {batch}"
        )
    return OnnxRunner(session, random_inputs(problem, batch, seed=seed), device)


def open_session(
    path: Path, *, provider: str = "cpu", threads: int = 1, batch: int | None = None
) -> ort.InferenceSession:
    """A session that runs on `provider` or not at all.

    Args:
        path: of the file.
        provider: a key of `PROVIDERS`.
        threads: within an operation; operations follow one another.
        batch: that the file's free batch is fixed to, so that shapes are known ahead; None: it stays free.

    Raises:
        WorldFault: `wrong_processor`.
    """
    import onnxruntime as ort

    wanted = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise _wrong_processor(provider, f"it is not among {', '.join(ort.get_available_providers())}")
    options = _options(threads, batch)
    if provider != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    given = [wanted, PROVIDERS["cuda"]] if provider == "tensorrt" else [wanted]  # the same GPU, as TensorRT is used
    try:
        session = ort.InferenceSession(path, options, providers=given)
    except Exception as error:
        if provider == "cpu":
            raise
        raise _wrong_processor(provider, _first_line(error)) from error
    if session.get_providers()[0] != wanted:
        raise _wrong_processor(provider, f"the network was given to {session.get_providers()[0]}")
    session.disable_fallback()  # which would make a new session on the processor when a pass fails
    return session


def predict(path: Path, inputs: Array) -> NDArray[np.float32]:
    """(n, *output_shape) answers of the processor, in batches where the file's is fixed; the last one may be dropped.

    Args:
        path: of the file.
        inputs: (n, *input_shape); n at least the fixed batch.
    """
    session = open_session(path)
    fixed = session.get_inputs()[0].shape[0]
    step = fixed if isinstance(fixed, int) else 256
    ends = range(step, len(inputs) + 1, step) if isinstance(fixed, int) else range(step, len(inputs) + step, step)
    return np.concatenate([session.run([OUTPUT], {INPUT: inputs[end - step : end]})[0] for end in ends])


def facts_of(session: ort.InferenceSession) -> dict[str, str]:
    """What the exporter wrote into the file: how it was made, and how far its answers are from the network's."""
    found = session.get_modelmeta().custom_metadata_map
    return {key.removeprefix(FACTS): value for key, value in found.items() if key.startswith(FACTS)}


def run_a_few(path: str, threads: int, batch: int, input_shape: list[int], vocabulary: int) -> None:
    """Open the network and run it: what a process's memory is measured of."""
    session = open_session(Path(path), threads=threads, batch=batch)
    problem = Problem(input_shape=tuple(input_shape), n_outputs=1, vocabulary=vocabulary)
    inputs = random_inputs(problem, batch, seed=0)
    for _ in range(3):
        session.run([OUTPUT], {INPUT: inputs})


def _options(threads: int, batch: int | None) -> ort.SessionOptions:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _SILENT
    if batch is not None:
        options.add_free_dimension_override_by_name(BATCH, batch)
    return options


def _provider(device: DeviceSpec) -> str:
    return device.provider or "cpu"


def _wrong_processor(provider: str, why: str) -> WorldFault:
    return WorldFault(
        "wrong_processor",
        f"ONNX Runtime can't run the network on {provider} here ({why}); nothing was measured. Install the package of "
        "onnxruntime for it, or name another provider",
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
