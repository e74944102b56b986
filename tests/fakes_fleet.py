"""In-memory FleetStore over `fakes_world.World`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fakes_trials import FakeTrialStore
from fakes_world import World

from nasd.domain.ids import DeviceKind, StudyId
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.ports.fleet import QueuedMeasure, Waiting


class FakeFleetStore(FakeTrialStore):
    """The rows that are swept; a study's patience is counted in sweeps: a trial that waits at one ends at the next."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._idle: set[tuple[StudyId, int]] = set()

    def waiting(self) -> Sequence[Waiting]:
        world = self._enter("waiting")
        with world.lock:
            counts = Counter(
                (each.study, each.new.stage, each.new.device_kind, each.new.needs) for each in world.queue()
            )
            return [
                Waiting(
                    study=study,
                    study_name=world.rows[study].study.name,
                    stage=stage,
                    device_kind=kind,
                    needs=needs,
                    n=n,
                )
                for (study, stage, kind, needs), n in counts.items()
            ]

    def idle(self) -> Mapping[StudyId, int]:
        return Counter(study for study, _ in self._idle)

    def relax(self, epoch: int, limit: int) -> int:
        world = self._enter("relax", epoch)
        with world.lock:
            n = sum(world.relax(*each) for each in sorted(self._idle)[:limit])
            self._idle = {
                (row.study, row.number)
                for row in world.queue()
                if row.new.is_required and row.new.stage is Stage.MEASURE and _waits(world, row.study, row.number)
            }
        return n

    def mend(self, epoch: int, limit: int) -> int:
        """No file is removed in this world."""
        self._enter("mend", epoch)
        return 0

    def queued_measures(self, study: StudyId, kind: DeviceKind, limit: int) -> Sequence[QueuedMeasure]:
        world = self._enter("queued_measures")
        with world.lock:
            return [
                QueuedMeasure(evaluation_id=row.id, number=row.number, priority=row.new.priority)
                for row in world.queue()
                if (row.study, row.new.stage, row.new.device_kind) == (study, Stage.MEASURE, kind)
            ][:limit]

    def prioritise(self, epoch: int, priorities: Mapping[int, int]) -> None:
        world = self._enter("prioritise", epoch)
        with world.lock:
            for id_, priority in priorities.items():
                row = world.evaluations[id_]
                if row.state is State.QUEUED:
                    row.new = replace(row.new, priority=priority)


def _waits(world: World, study: StudyId, number: int) -> bool:
    mine = world.required(study, number)
    rest = [row for row in mine if not (row.state is State.QUEUED and row.new.stage is Stage.MEASURE)]
    return bool(rest) and all(row.state is State.COMPLETED for row in rest)
