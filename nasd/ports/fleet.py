"""FleetStore: what the controller's sweep needs of the rows: what waits for whom, and what goes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nasd.domain.ids import DeviceKind, StudyId, TrialNumber
from nasd.domain.measurement import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Queued evaluations that are alike, `n` of them.

    Attributes:
        packages: that their study's code is imported from.
        needs: what their worker must offer, beside the stage.
        lacks: the format of the file that they wait for; None: they could be leased now.
    """

    study: StudyId
    study_name: str
    packages: tuple[str, ...] = ()
    stage: Stage
    device_kind: DeviceKind
    needs: tuple[str, ...] = ()
    needs_memory_mib: int = 0
    n: int
    lacks: str | None = None


@dataclass(frozen=True, slots=True)
class QueuedMeasure:
    """A measurement that waits for its device, and the priority it has."""

    evaluation_id: int
    number: TrialNumber
    priority: int


class FleetStore(Protocol):
    """Rows about who waits for which device. Every write share-locks the leader row with its own epoch, else Deposed.

    Laws (tests/contract/test_fleet_store.py): `relax` ends only trials that require nothing but measurements nobody has
    begun; a later measurement revises them; `prioritise` leaves alone what was leased meanwhile.
    """

    def waiting(self) -> Sequence[Waiting]:
        """What is queued and due, of studies that are not stopped."""
        ...

    def idle(self) -> Mapping[StudyId, int]:
        """Trials that wait for nothing but measurements nobody has begun, by study."""
        ...

    def relax(self, epoch: int, limit: int) -> int:
        """Let up to `limit` trials end that have waited so for their study's patience; how many there were."""
        ...

    def mend(self, epoch: int, limit: int) -> int:
        """Let up to `limit` trials be exported again whose file was removed and is waited for; how many there were."""
        ...

    def queued_measures(self, study: StudyId, kind: DeviceKind, limit: int) -> Sequence[QueuedMeasure]:
        """Measurements that wait for `kind`, by priority, then the oldest first."""
        ...

    def prioritise(self, epoch: int, priorities: Mapping[int, int]) -> None:
        """Give evaluations, by their ids, another priority."""
        ...
