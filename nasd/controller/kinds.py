"""Which device kinds a study serves, and since which trial: the founding ones from the first, others joined later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nasd.domain.ids import DeviceKind
from nasd.domain.study import StudySpec


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of a study in order of mention.

    Attributes:
        since: kind -> the number of the first trial whose proposal may serve it; 0 of a founding one. A kind that is
            joining has none yet: the leader, who alone admits trials, says which it is (`Step.joined`).
    """

    all: tuple[DeviceKind, ...]
    since: Mapping[DeviceKind, int]

    @property
    def founding(self) -> tuple[DeviceKind, ...]:
        """Those whose limits make whole trials infeasible; at least one."""
        return tuple(kind for kind in self.all if self.since.get(kind) == 0)

    @property
    def joining(self) -> tuple[DeviceKind, ...]:
        """Those that the leader has not let in yet."""
        return tuple(kind for kind in self.all if kind not in self.since)

    def at(self, number: int) -> tuple[DeviceKind, ...]:
        """Those that the proposal of trial `number` may serve."""
        return tuple(kind for kind in self.all if kind in self.since and self.since[kind] <= number)

    def era(self, number: int) -> int:
        """The trial from which on they have been the same as at `number`."""
        return max((since for since in self.since.values() if since <= number), default=0)

    def with_joined(self, number: int) -> Kinds:
        """The joining ones let in with trial `number`."""
        return Kinds(self.all, {**self.since, **dict.fromkeys(self.joining, number)})


def kinds_of(spec: StudySpec, joined: Mapping[str, int]) -> Kinds:
    """The kinds of a study.

    Args:
        joined: as its row has it; empty: all of them founded it.
    """
    kinds = spec.device_kinds()
    since = {kind: joined[kind] for kind in kinds if kind in joined} if joined else dict.fromkeys(kinds, 0)
    return Kinds(kinds, since)
