"""Artifacts: immutable files named by their content hash."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SHA256 = re.compile(r"[0-9a-f]{64}")

WEIGHTS = "weights"  # the format of trained weights: safetensors


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """A file that a trial has.

    Attributes:
        format: what reads it: `onnx`, `onnx-fp16`, `onnx-int8`, `pte`, `weights` ...; one of each at most for a trial.
        sha256: of its content, in lower-case hexadecimal digits; also its name in the store.
    """

    format: str
    sha256: str
    n_bytes: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.format}: {self.sha256[:80]!r} is no SHA-256 in lower-case hexadecimal digits")
        if self.n_bytes < 0:
            raise ValueError(f"{self.format}: {self.n_bytes} bytes can't be")
