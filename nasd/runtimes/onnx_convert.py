"""ONNX files in fewer bits: float16, and int8 after calibration. Imports no torch; needs `onnx` beside onnxruntime."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from nasd.errors import CandidateFault
from nasd.runtimes.onnx import FACTS, INPUT, Array, predict

_CALIBRATION_BATCH = 32  # where the file takes any
_FLOAT32_ALONE = ("ScatterND",)  # onnxruntime 1.32 adds in float32 alone; in a mixture of experts


def to_fp16(source: Path, target: Path, samples: Array) -> None:
    """Weights and arithmetic in float16, inputs and outputs as before; `onnx-fp16`.

    Args:
        source: float32; its metadata are kept.
        target: written over.
        samples: (n, *input_shape), what the difference is seen on.

    Raises:
        CandidateFault: `unsupported`.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    with _converting("float16"):
        kept = [*DEFAULT_OP_BLOCK_LIST, *_FLOAT32_ALONE]
        onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True, op_block_list=kept), target)
    _note(source, target, samples)


def to_int8(source: Path, target: Path, samples: Array) -> None:
    """Weights and activations in 8 bits, by the largest values seen on `samples`; `onnx-int8`.

    Where that fails, weights alone are converted ahead and activations as they come; the metadata say which
    (`quantisation`: `static` or `dynamic`).

    Args:
        source: float32; its metadata are kept.
        target: written over.
        samples: (n, *input_shape) for calibration, as many as the file's batch at least.

    Raises:
        CandidateFault: `unsupported`, neither way works.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        with _converting("int8"):
            _prepare(source, prepared)
        try:
            with _converting("int8"):
                _static(prepared, target, samples)
            method = "static"
        except CandidateFault:
            with _converting("int8"):
                _dynamic(prepared, target)
            method = "dynamic"
    _note(source, target, samples, quantisation=method)


def _prepare(source: Path, target: Path) -> None:
    """Batch normalisation folded into what it follows, shapes written down."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(source, target, skip_symbolic_shape=True)


def _static(source: Path, target: Path, samples: Array) -> None:
    from onnxruntime.quantization import QuantFormat, quantize_static

    quantize_static(
        source, target, _Reader(samples, _fixed_batch(source)), quant_format=QuantFormat.QDQ, per_channel=True
    )
    predict(target, samples)  # some graphs are written that can't be run


def _dynamic(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, weight_type=QuantType.QInt8)


class _Reader:
    """onnxruntime's `CalibrationDataReader`: whole batches, one after the other."""

    def __init__(self, samples: Array, fixed: int | None) -> None:
        step = fixed or min(_CALIBRATION_BATCH, len(samples))
        self._batches = iter([samples[end - step : end] for end in range(step, len(samples) + 1, step)])

    def get_next(self) -> dict[str, Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _fixed_batch(path: Path) -> int | None:
    first = onnx.load(path, load_external_data=False).graph.input[0].type.tensor_type.shape.dim[0]
    return int(first.dim_value) if first.HasField("dim_value") else None


def _note(source: Path, target: Path, samples: Array, **facts: str) -> None:
    """Write into `target`'s metadata what became of the answers, beside what the source's say."""
    expected, found = predict(source, samples), predict(target, samples)
    if not np.isfinite(found).all() and np.isfinite(expected).all():
        raise CandidateFault(
            "unsupported", "the network's numbers are too large for fewer bits: answers are not finite"
        )
    model, before = onnx.load(target), onnx.load(source, load_external_data=False)
    kept = {each.key: each.value for each in before.metadata_props if each.key.startswith(FACTS)}
    facts["converted_max_abs_error"] = f"{np.abs(expected - found).max():.3g}"
    if expected.shape[-1] > 1:  # of one number there is no largest
        facts["same_answers"] = f"{_alike(expected, found):.4f}"
    onnx.helper.set_model_props(model, kept | {FACTS + key: value for key, value in facts.items()})
    onnx.save(model, target)


def _alike(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """The share of rows whose largest answer is the same one."""
    return float((expected.argmax(axis=-1) == found.argmax(axis=-1)).mean())


@contextlib.contextmanager
def _converting(precision: str) -> Iterator[None]:
    """The converters' own errors are the candidate's fault, and their advice to the log is nobody's.

    Raises:
        CandidateFault: `unsupported`.
    """
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # they log by the root logger
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (MemoryError, OSError, CandidateFault):
        raise
    except Exception as error:  # they raise whatever their graphs' surprises come to, onnxruntime bare Exceptions
        line = str(error).strip().partition("\n")[0][:300]
        raise CandidateFault(
            "unsupported", f"the network can't be converted to {precision}: {type(error).__name__}: {line}"
        ) from error
    finally:
        root.setLevel(level)
