"""Which queues are longer than their device kind has workers, and in which order those measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nasd.controller.able import can_take
from nasd.controller.scarce import priorities
from nasd.daemon.served import Served
from nasd.domain.ids import LOCAL, DeviceKind, StudyId, TrialNumber
from nasd.domain.measurement import Stage
from nasd.ports.fleet import Waiting
from nasd.ports.trials import LiveWorker

Orders = Mapping[tuple[StudyId, DeviceKind], Mapping[TrialNumber, int]]


def orders(
    served: Iterable[Served], waiting: Sequence[Waiting], workers: Sequence[LiveWorker], *, now: float
) -> Orders:
    """The order of each scarce kind of each study that is in mind.

    A study of this machine alone is measured in the order of its trials: who measures there trains there too.
    """
    found = {}
    for each in served:
        if each.mind is None or each.study.spec.device_kinds() == (LOCAL,):
            continue
        for kind in each.mind.fronts:
            if _is_scarce(each.study.id, kind, waiting, workers):
                found[each.study.id, kind] = each.order(kind, priorities, now=now)
    return found


def _is_scarce(study: StudyId, kind: DeviceKind, waiting: Sequence[Waiting], workers: Sequence[LiveWorker]) -> bool:
    queued = [each for each in waiting if (each.study, each.stage, each.device_kind) == (study, Stage.MEASURE, kind)]
    able = sum(any(can_take(worker, each) for each in queued) for worker in workers)
    return sum(each.n for each in queued) > max(able, 1)
