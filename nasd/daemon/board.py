"""Board: what the loops show each other. Plain values replaced whole, so that a reader never sees half of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from nasd.domain.ids import DeviceKind, LearnedSeq, StudyId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.ports.fleet import Waiting
from nasd.ports.trials import LiveWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFigures:
    """One study as of its latest step.

    Attributes:
        fronts: device kind -> (members, hypervolume or None while its box is not frozen).
    """

    name: str
    tally: Mapping[State, int]
    n_in_flight: int
    learned_seq: LearnedSeq
    fronts: Mapping[DeviceKind, tuple[int, float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyCache:
    """A cache to be saved."""

    study: StudyId
    strategy_version: str
    settings_hash: str
    learned_seq: LearnedSeq
    state: dict[str, object] = field(repr=False)


class Board:
    """Written by planner and stager, read by each other and the reporter.

    Attributes:
        waiting: what is queued, as of the latest sweep.
        idle: trials that wait for nothing but devices, by study, as of the latest sweep.
        workers: live ones.
        orders: (study, device kind) -> the priority of each trial's first measurement there, where more wait than the
            kind has workers.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._figures: dict[StudyId, StudyFigures] = {}
        self._caches: dict[StudyId, StrategyCache] = {}
        self.waiting: tuple[Waiting, ...] = ()
        self.idle: Mapping[StudyId, int] = {}
        self.workers: tuple[LiveWorker, ...] = ()
        self.orders: Mapping[tuple[StudyId, DeviceKind], Mapping[TrialNumber, int]] = {}

    def show(self, study: StudyId, figures: StudyFigures) -> None:
        with self._lock:
            self._figures[study] = figures

    def figures(self) -> dict[StudyId, StudyFigures]:
        with self._lock:
            return dict(self._figures)

    def forget(self, study: StudyId) -> None:
        with self._lock:
            self._figures.pop(study, None)

    def offer(self, cache: StrategyCache) -> None:
        """Replace the study's cache that waits to be saved."""
        with self._lock:
            self._caches[cache.study] = cache

    def take_caches(self) -> tuple[StrategyCache, ...]:
        with self._lock:
            caches = tuple(self._caches.values())
            self._caches.clear()
        return caches
