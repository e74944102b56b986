"""The evaluations of a trial: what each needs of its worker, and in which order they are leased."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from nasd.controller.admission import stage_kinds
from nasd.domain.architecture import Architecture
from nasd.domain.devices import Runtime
from nasd.domain.ids import ANYWHERE, DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.study import StudySpec
from nasd.ports.trials import NewEvaluation

BASELINE_PRIORITY = 100  # the scoring box waits for them
EXPORT_PRIORITY = 50  # boards wait for its file
CHEAP_PRIORITY = 10  # measured before trained: a broken limit is found before a long training
ROUND_PRIORITY = 5  # after the first look at new trials, before the next training
ENERGY = "energy"  # what a worker offers that has a meter
TORCH = "torch"

Memory = Callable[[Architecture, Stage, DeviceKind], int]


def no_estimate(_architecture: Architecture, _stage: Stage, _kind: DeviceKind) -> int:
    """Nothing is known of the memory that an evaluation takes."""
    return 0


def evaluations(
    spec: StudySpec,
    architecture: Architecture,
    *,
    is_baseline: bool,
    absent: Collection[DeviceKind] = (),
    memory: Memory = no_estimate,
) -> tuple[NewEvaluation, ...]:
    """What a new trial needs, cheap stages first.

    Args:
        absent: kinds that are not waited for: what they measure later revises the trial.
        memory: MiB that a stage takes at most.
    """
    extra = BASELINE_PRIORITY if is_baseline else 0
    return tuple(
        NewEvaluation(
            stage=stage,
            device_kind=kind,
            priority=_PRIORITIES.get(stage, 0) + extra,
            needs=needs(spec, stage, kind),
            needs_memory_mib=memory(architecture, stage, kind),
            awaits=awaits(spec, stage, kind),
            is_required=stage is not Stage.MEASURE or kind not in absent,
        )
        for stage, kind in stage_kinds(spec)
    )


def measurement(
    spec: StudySpec, kind: DeviceKind, *, priority: int, memory_mib: int = 0, round_: int = 1, is_required: bool = True
) -> NewEvaluation:
    """One more measurement of a trial that exists."""
    return NewEvaluation(
        stage=Stage.MEASURE,
        device_kind=kind,
        priority=priority,
        round=round_,
        needs=needs(spec, Stage.MEASURE, kind),
        needs_memory_mib=memory_mib,
        awaits=awaits(spec, Stage.MEASURE, kind),
        is_required=is_required,
    )


def export(spec: StudySpec, *, memory_mib: int = 0) -> NewEvaluation:
    """The files of a trial that exists, made once more: a kind that joined awaits one that nobody made."""
    return NewEvaluation(
        stage=Stage.EXPORT,
        device_kind=ANYWHERE,
        priority=EXPORT_PRIORITY,
        needs=needs(spec, Stage.EXPORT, ANYWHERE),
        needs_memory_mib=memory_mib,
        is_required=False,
    )


def needs(spec: StudySpec, stage: Stage, kind: DeviceKind) -> tuple[str, ...]:
    """What a worker must offer for `stage`, beside the stage itself."""
    match stage:
        case Stage.MEASURE:
            return (spec.device_on(kind).offer, *_meters(spec, kind))
        case Stage.TRAIN:
            return spec.train.needs
        case Stage.EXPORT:
            devices = [spec.device_on(each) for each in spec.device_kinds()]
            makers = {str(each.runtime) for each in devices if each.runtime is Runtime.EXECUTORCH}
            return (TORCH, *makers)
        case Stage.RUN:
            return ()


def awaits(spec: StudySpec, stage: Stage, kind: DeviceKind) -> str | None:
    """The format of the file that `stage` runs; None where it builds the network itself."""
    return spec.device_on(kind).artifact if stage is Stage.MEASURE else None


def _meters(spec: StudySpec, kind: DeviceKind) -> Iterator[str]:
    limited = (limit.of for limit in spec.limits_on(kind))
    if "energy_mj" in {*(each.name for each in spec.objectives_on(kind)), *limited}:
        yield ENERGY


_PRIORITIES = {Stage.EXPORT: EXPORT_PRIORITY, Stage.MEASURE: CHEAP_PRIORITY}
