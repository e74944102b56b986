"""Which worker can take which work: the rule by which the database leases, for decisions that are made ahead of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from nasd.controller.admission import stage_kinds
from nasd.controller.stages import awaits, needs
from nasd.domain.ids import ANYWHERE, DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.study import StudySpec
from nasd.ports.fleet import Waiting
from nasd.ports.trials import LiveWorker, NewEvaluation
from nasd.usercode import packages_of


def may_serve(worker: LiveWorker, study: str, packages: Collection[str]) -> bool:
    """Whether it takes work of that study at all, and may run the study's code."""
    is_asked = not worker.is_draining and (not worker.studies or study in worker.studies)
    return is_asked and set(packages) <= set(worker.packages)


def can(worker: LiveWorker, stage: Stage, kind: DeviceKind, needed: Iterable[str], *, memory_mib: int = 0) -> bool:
    """Whether its kind, stages, offers and memory suffice."""
    return (
        kind in (worker.device_kind, ANYWHERE)
        and stage in worker.stages
        and set(needed) <= set(worker.offers)
        and (worker.memory_mib is None or memory_mib <= worker.memory_mib)
    )


def serving(spec: StudySpec, workers: Sequence[LiveWorker]) -> tuple[LiveWorker, ...]:
    """Those that serve the study, may run its code and can do a stage of it on their kind."""
    return tuple(worker for worker in workers if any(_serves(worker, spec, *each) for each in stage_kinds(spec)))


def proposing_for(spec: StudySpec, workers: Sequence[LiveWorker]) -> tuple[LiveWorker, ...]:
    """Those of them that do the dearest stage: how many trials are worth having under way.

    A board that only measures takes none of the time that a trial takes.
    """
    stage = stage_kinds(spec)[-1][0]
    last = [each for each in stage_kinds(spec) if each[0] is stage]
    return tuple(
        worker for worker in serving(spec, workers) if any(_serves(worker, spec, stage, kind) for stage, kind in last)
    )


def without_worker(spec: StudySpec, workers: Sequence[LiveWorker]) -> frozenset[DeviceKind]:
    """The kinds of the study that none of `workers` can measure on now; ANYWHERE where none makes its files."""
    return frozenset(
        kind
        for stage, kind in stage_kinds(spec)
        if stage in (Stage.MEASURE, Stage.EXPORT) and not any(_serves(each, spec, stage, kind) for each in workers)
    )


def _serves(worker: LiveWorker, spec: StudySpec, stage: Stage, kind: DeviceKind) -> bool:
    code = () if awaits(spec, stage, kind) else packages_of(spec)  # an exported file needs none of its study's code
    return may_serve(worker, spec.name, code) and can(worker, stage, kind, needs(spec, stage, kind))


def kinds_to_ring(evaluations: Iterable[NewEvaluation], workers: Sequence[LiveWorker]) -> tuple[DeviceKind, ...]:
    """Whose doorbells say that these are queued: their own kinds', and for what any may do, all that can."""
    kinds: dict[DeviceKind, None] = {}
    for new in evaluations:
        if new.device_kind != ANYWHERE:
            kinds[new.device_kind] = None
            continue
        able = (worker.device_kind for worker in workers if can(worker, new.stage, ANYWHERE, new.needs))
        kinds |= dict.fromkeys(able)
    return tuple(kinds)


def kinds_waited_for(waiting: Iterable[Waiting], workers: Sequence[LiveWorker]) -> tuple[DeviceKind, ...]:
    """Whose doorbells say that these wait: all that can take them now, live or not where a kind of its own is meant."""
    kinds: dict[DeviceKind, None] = {}
    for each in waiting:
        if each.lacks is not None:
            continue
        if each.device_kind != ANYWHERE:
            kinds[each.device_kind] = None
            continue
        kinds |= dict.fromkeys(worker.device_kind for worker in workers if can_take(worker, each))
    return tuple(kinds)


def can_take(worker: LiveWorker, each: Waiting) -> bool:
    """Whether it could lease one of these, once their file is there."""
    return may_serve(worker, each.study_name, each.packages) and can(
        worker, each.stage, each.device_kind, each.needs, memory_mib=each.needs_memory_mib
    )
