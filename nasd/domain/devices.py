"""Device kinds as a study file describes them: what runs a network there, how precisely, with how many threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from nasd.domain.study_checks import positive


class Runtime(StrEnum):
    """What runs a network."""

    EAGER = "torch-eager"
    COMPILE = "torch-compile"
    EXPORT = "torch-export"
    ONNX = "onnxruntime"
    EXECUTORCH = "executorch"


class DevicePrecision(StrEnum):
    """Of weights and activations while it runs."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


_FORMATS: Mapping[Runtime, str] = {Runtime.ONNX: "onnx", Runtime.EXECUTORCH: "pte"}
_PROVIDERS: Mapping[Runtime, tuple[str, ...]] = {
    Runtime.ONNX: ("cpu", "cuda", "tensorrt", "openvino", "coreml", "rocm", "dml", "xnnpack"),
}
_OF_TORCH = ("cpu", "cuda", "mps")
_CPU = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """One `[devices.KIND]` table. A kind includes all of it: rankings differ between runtimes and precisions.

    Attributes:
        runtime: what runs the network.
        provider: the processor it must run on, as the runtime names its execution providers; None: torch's choice for
            torch's own runtimes, the processor ("cpu") for the others.
        threads: None: `measure.threads`.
        batch: samples in one forward pass; None: `measure.batch`.
    """

    runtime: Runtime = Runtime.EAGER
    provider: str | None = None
    precision: DevicePrecision = DevicePrecision.FP32
    threads: int | None = None
    batch: int | None = None

    def __post_init__(self) -> None:
        positive("devices", threads=self.threads, batch=self.batch)
        known = _PROVIDERS.get(self.runtime, _OF_TORCH if not self.needs_artifact else (_CPU,))
        if self.provider is not None and self.provider not in known:
            raise ValueError(
                f'devices.provider = "{self.provider}": {self.runtime} has no such provider; known: {", ".join(known)}'
            )
        if self.precision is DevicePrecision.INT8 and self.runtime is not Runtime.ONNX:
            raise ValueError(f'devices.precision = "int8": {self.runtime} can\'t do it; only "onnxruntime" can')
        if self.precision is not DevicePrecision.FP32 and self.runtime is Runtime.EXECUTORCH:
            raise ValueError(f'devices.precision = "{self.precision}": executorch runs fp32 alone here')

    @property
    def needs_artifact(self) -> bool:
        """Whether it runs an exported file; torch's own runtimes build the network on the spot."""
        return self.runtime in _FORMATS

    @property
    def needs_torch(self) -> bool:
        """Whether a worker needs torch to measure."""
        return self.runtime is not Runtime.ONNX

    @property
    def artifact(self) -> str | None:
        """The format of the file it runs; None where it needs none."""
        base = _FORMATS.get(self.runtime)
        if base is None or self.precision is DevicePrecision.FP32:
            return base
        return f"{base}-{self.precision}"

    @property
    def offer(self) -> str:
        """What a worker must offer to measure under it."""
        if self.provider is None or (self.provider == _CPU and self.needs_artifact):
            return str(self.runtime)
        return f"{self.runtime}:{self.provider}"


class OnMissing(StrEnum):
    """What a study does at its end about a device kind that does not come back."""

    WAIT = "wait"
    FINISH_PARTIAL = "finish_partial"
