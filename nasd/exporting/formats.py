"""The files that a trained network is exported to, and how each is read back to be compared. Names are in `Format`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nasd.domain.devices import DevicePrecision
from nasd.errors import CandidateFault, UserError
from nasd.exporting.trained import load_weights
from nasd.exporting.trial import TrialRecord
from nasd.runtimes.onnx_export import export_onnx
from nasd.studyfile import spec_to_json

Array = NDArray[Any]
_MOST_DYNAMIC = 1 << 20  # samples of a batch
ALWAYS = "--format safetensors can hold every network"


class Format(StrEnum):
    """What `nasd export --format` writes."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    PT2 = "pt2"
    EXECUTORCH = "executorch"


@dataclass(frozen=True, slots=True)
class Written:
    """A file of an export.

    Attributes:
        batch: it takes; None: any.
        read_back: the file's own answers to inputs.
        method: of the conversion to fewer bits, where there is more than one.
    """

    path: Path
    batch: int | None
    read_back: Callable[[Array], Array]
    method: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """What is written.

    Attributes:
        module: trained, on the CPU, in evaluation mode.
        inputs: a few real ones.
        fresh: makes the same network with other weights.
        precision: of the file; another than fp32 for ONNX alone.
        calibration: inputs from the training split, for a conversion.
    """

    module: nn.Module
    inputs: Array
    trial: TrialRecord
    fresh: Callable[[], nn.Module]
    precision: DevicePrecision = DevicePrecision.FP32
    calibration: Array | None = None


def require_packages(wanted: Format) -> None:
    """Refuse before anything is trained what can't be written here.

    Raises:
        UserError: names the package.
    """
    needed = {
        Format.ONNX: (("onnx", "onnxscript", "onnxruntime"), 'pip install "nasd[export]"'),
        Format.SAFETENSORS: (("safetensors",), 'pip install "nasd[train]"'),
        Format.PT2: ((), ""),
        Format.EXECUTORCH: (("executorch",), "pip install executorch (it brings a torch of its own version)"),
    }[wanted]
    for package in needed[0]:
        if find_spec(package) is None:
            raise UserError(f"--format {wanted}: needs the package {package}, which is not installed. {needed[1]}")


def require_precision(wanted: Format, precision: DevicePrecision) -> None:
    """Refuse fewer bits in formats that nasd does not convert.

    Raises:
        UserError: names the format that can be had so.
    """
    if precision is not DevicePrecision.FP32 and wanted is not Format.ONNX:
        raise UserError(
            f"--precision {precision}: --format {wanted} is written in fp32 alone; --format onnx can be converted"
        )


def write(network: Network, wanted: Format, folder: Path) -> Written:
    """The network's file of that format.

    Raises:
        UserError: this network can't be had in it; the message says why and what can be.
    """
    try:
        return _WRITERS[wanted](network, folder)
    except CandidateFault as fault:
        raise UserError(f"{network.trial.shown}: {fault}. {ALWAYS}") from fault


def _onnx(network: Network, folder: Path) -> Written:
    path = folder / "model.onnx"
    facts = {"study": network.trial.study, "trial": str(network.trial.number)}
    exported = export_onnx(network.module, torch.from_numpy(network.inputs), path, facts=facts)

    def answers(x: Array) -> Array:
        from nasd.runtimes.onnx import predict

        return predict(path, x)

    return Written(path, exported.batch, answers, _converted(network, path))


def _converted(network: Network, path: Path) -> str:
    """Convert the file where fewer bits are asked for, as for a device of that precision; by which method.

    Raises:
        CandidateFault: `unsupported`.
    """
    if network.precision is DevicePrecision.FP32:
        return ""
    if network.calibration is None:
        raise ValueError(f"{network.precision}: a conversion needs samples")
    from nasd.runtimes.onnx import facts_of, open_session
    from nasd.runtimes.onnx_convert import to_fp16, to_int8

    convert = {DevicePrecision.FP16: to_fp16, DevicePrecision.INT8: to_int8}[network.precision]
    target = path.with_name("converted.onnx")
    convert(path, target, network.calibration)
    target.replace(path)
    return facts_of(open_session(path)).get("quantisation", "")


def _safetensors(network: Network, folder: Path) -> Written:
    """Shared tensors lie in it once, as `safetensors.torch.load_model` expects them."""
    path = folder / "model.safetensors"
    save_weights(network.module, path, network.trial)

    def answers(x: Array) -> Array:
        other = network.fresh().eval()
        load_weights(other, path, shown=network.trial.shown)
        with torch.no_grad():
            return cast("Array", other(torch.from_numpy(x)).numpy())

    return Written(path, None, answers)


def save_weights(module: nn.Module, path: Path, trial: TrialRecord) -> None:
    """With all that rebuilds the network around them, as text in the file's header."""
    from safetensors.torch import save_model

    said: Mapping[str, object] = {
        "study": trial.study,
        "trial": trial.number,
        "architecture": trial.architecture.json,
        "spec": spec_to_json(trial.spec),
        "data": asdict(trial.facts),
        "seed": trial.seed,
    }
    save_model(module, str(path), metadata={name: json.dumps(value) for name, value in said.items()})


def _pt2(network: Network, folder: Path) -> Written:
    path = folder / "model.pt2"
    program, batch = _program(network.module, network.inputs)
    torch.export.save(program, path)

    def answers(x: Array) -> Array:
        with torch.no_grad():
            return cast("Array", torch.export.load(path).module()(torch.from_numpy(x)).numpy())

    return Written(path, batch, answers)


def _executorch(network: Network, folder: Path) -> Written:
    """For a batch of one: boards take samples as they come."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    path = folder / "model.pte"
    program = torch.export.export(network.module, (torch.from_numpy(network.inputs[:1]),))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    path.write_bytes(lowered.buffer)
    method = Runtime.get().load_program(path).load_method("forward")

    def answers(x: Array) -> Array:
        return cast("Array", method.execute([torch.from_numpy(x)])[0].numpy())

    return Written(path, 1, answers)


def _program(module: nn.Module, inputs: Array) -> tuple[torch.export.ExportedProgram, int | None]:
    """(program, its batch; None: any). Networks whose own code looks at the batch are exported for one sample.

    Raises:
        CandidateFault: `unsupported`.
    """
    two = torch.from_numpy(inputs[:2] if len(inputs) > 1 else np.concatenate([inputs, inputs]))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch's own internals
        try:
            free = {0: torch.export.Dim("batch", max=_MOST_DYNAMIC)}
            return torch.export.export(module, (two,), dynamic_shapes=(free,)), None
        except Exception:  # noqa: BLE001, S110 - the tracer raises what the user's code does, and much of its own
            pass
        try:
            return torch.export.export(module, (two[:1],)), 1
        except Exception as error:
            first = str(error).strip().partition("\n")[0][:300]
            raise CandidateFault("unsupported", f"torch can't export the network: {first}") from error


_WRITERS: Mapping[Format, Callable[[Network, Path], Written]] = {
    Format.ONNX: _onnx,
    Format.SAFETENSORS: _safetensors,
    Format.PT2: _pt2,
    Format.EXECUTORCH: _executorch,
}
