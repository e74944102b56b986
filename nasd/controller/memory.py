"""What memory the stages of a study's trials take at most, so that none is sent where it can't fit."""

from __future__ import annotations

from nasd.controller.stages import Memory, no_estimate
from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts
from nasd.domain.footprint import export_bytes, inference_bytes, mib, training_bytes
from nasd.domain.ids import ANYWHERE, DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.space import SearchSpace
from nasd.domain.study import StudySpec


def memory_of(spec: StudySpec, space: SearchSpace, data: DataFacts | None) -> Memory:
    """The estimate of `nasd.domain.footprint` for each stage; none where networks can't be counted ahead."""
    if data is None or not spec.is_counted_ahead:
        return no_estimate

    exported = [device for device in map(spec.device_on, spec.device_kinds()) if device.needs_artifact]
    batch = max((device.batch or 1 for device in exported), default=1)  # of the files' parity checks

    def estimate(architecture: Architecture, stage: Stage, kind: DeviceKind) -> int:
        counts = space.counts(architecture)
        match stage:
            case Stage.TRAIN:
                found = mib("train", training_bytes(counts, data, spec.train))
            case Stage.EXPORT:
                found = mib("export", export_bytes(counts, data.problem, batch=batch))
            case Stage.MEASURE:
                device = spec.device_on(kind if kind != ANYWHERE else spec.device_kinds()[0])
                base = "measure" if device.needs_torch else "onnxruntime"
                found = mib(base, inference_bytes(counts, data.problem, batch=device.batch or 1))
            case Stage.RUN:
                found = None
        return found or 0

    return estimate
