"""A torch module as an ONNX file that ONNX Runtime is seen to agree with."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nasd.errors import CandidateFault
from nasd.nets.runtime import candidate_memory
from nasd.runtimes.onnx import BATCH, FACTS, INPUT, OUTPUT, predict

TOLERANCE = 1e-4  # absolute; relative where answers are larger than 1
_MOST_BYTES = (1 << 31) - (1 << 20)  # of one protobuf message


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        batch: it takes; None: any.
        max_abs_error: of its answers against the module's.
        opset: of ONNX's own operators.
    """

    batch: int | None
    max_abs_error: float
    opset: int


def export_onnx(
    module: nn.Module,
    inputs: Tensor,
    path: Path,
    *,
    tolerance: float = TOLERANCE,
    facts: Mapping[str, str] | None = None,
) -> Exported:
    """Write `module` as it evaluates; the input is named "input", the output "output".

    Args:
        module: on the CPU; its mode is put back afterwards.
        inputs: (n, *input_shape), an example. Where the module can't be exported for any batch, it is for n.
        path: of the file, which is written over.
        tolerance: how far answers may differ, times the largest answer where that is above 1.
        facts: for the file's metadata, beside what is in `Exported`.

    Raises:
        CandidateFault: `unsupported`, the exporter has no translation for it, it is too large for a file, or the file's
            answers differ; `out_of_memory`.
    """
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad(), candidate_memory("exporting the network"):
            program, is_free = _program(module, inputs)
            _check_size(module)
            _strip(program)
            program.save(path, external_data=False)
            error = _largest_error(module, inputs, path, is_free=is_free, tolerance=tolerance)
            batch = "any" if is_free else str(len(inputs))
            _note(program, {**(facts or {}), "batch": batch, "max_abs_error": _bound(error)})
            program.save(path, external_data=False)
    finally:
        module.train(was_training)
    opset = int(program.model.opset_imports.get("", 0))
    return Exported(batch=None if is_free else len(inputs), max_abs_error=error, opset=opset)


def _program(module: nn.Module, inputs: Tensor) -> tuple[Any, bool]:
    """(the ONNX program, whether its batch is free)."""
    two = inputs if len(inputs) > 1 else torch.cat([inputs, inputs])  # torch takes a dimension of 1 for a constant
    with _quiet():
        try:
            program = _exported(module, two, ({0: torch.export.Dim(BATCH, max=1 << 20)},))
            if not isinstance(program.model.graph.inputs[0].shape[0], int):  # torch may fix it and not say so
                return program, True
        except torch.onnx.OnnxExporterError:  # its code looks at the batch
            pass
        try:
            return _exported(module, inputs, None), False
        except torch.onnx.OnnxExporterError as error:
            raise CandidateFault("unsupported", f"torch can't export the network to ONNX: {_root(error)}") from error


def _exported(module: nn.Module, inputs: Tensor, dynamic: Any) -> Any:
    return torch.onnx.export(
        module,
        (inputs,),
        dynamo=True,
        verbose=False,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=dynamic,
    )


def _check_size(module: nn.Module) -> None:
    n_bytes = sum(each.numel() * each.element_size() for each in module.state_dict().values())
    if n_bytes > _MOST_BYTES:
        raise CandidateFault("unsupported", f"an ONNX file holds 2 GiB; the network's weights have {n_bytes:,} bytes")


def _bound(error: float) -> str:
    """The next power of ten: the same for the same network whoever exported it, as far as rounding can be."""
    return f"{10.0 ** math.ceil(math.log10(error)):.0e}" if error else "0"


def _strip(program: Any) -> None:
    """Without the exporter's notes: they hold this machine's paths, and would make equal networks' files differ."""
    model = program.model
    for graph in (model.graph, *model.functions.values()):
        for node in graph.all_nodes():
            node.metadata_props.clear()
            node.doc_string = None
    model.metadata_props.clear()


def _note(program: Any, facts: Mapping[str, str]) -> None:
    noted = {**facts, "torch": torch.__version__}
    program.model.metadata_props.update({FACTS + key: value for key, value in noted.items()})


def _largest_error(module: nn.Module, inputs: Tensor, path: Path, *, is_free: bool, tolerance: float) -> float:
    """Over the given batch and, where any is taken, one sample alone."""
    batches = (inputs, inputs[:1]) if is_free else (inputs,)
    error = 0.0
    for batch in batches:
        expected = module(batch).numpy()
        found = predict(path, batch.numpy())
        error = max(error, largest_difference(expected, found))
        scale = max(1.0, float(np.nanmax(np.abs(expected), initial=0.0)))
        if not error <= tolerance * scale:
            raise CandidateFault(
                "unsupported", f"the network exported to ONNX answers otherwise than torch does, by up to {error:.2g}"
            )
    return error


def largest_difference(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Absolute; infinite where one is NaN and the other is not, or shapes differ."""
    if expected.shape != found.shape or not np.array_equal(np.isnan(expected), np.isnan(found)):
        return float("inf")
    same = (expected == found) | np.isnan(expected)  # infinities too
    return float(np.max(np.abs(np.where(same, 0.0, expected - found)), initial=0.0))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own internals and of libraries that nobody asked for."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _root(error: BaseException) -> str:
    """The first cause's first line, which names the operation; the exporter wraps it in advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
