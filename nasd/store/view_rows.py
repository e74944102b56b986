"""Rows of the public views as values, and what follows from them: what is left, how long, whose share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import unit_of
from nasd.domain.objective import SOURCES, Source, value_name


@dataclass(frozen=True, slots=True)
class ObjectiveColumn:
    """One objective as a reader needs it."""

    name: str
    unit: str
    is_maximised: bool
    on: tuple[str, ...]

    @property
    def is_log(self) -> bool:
        """Whether it spans decades, so that distances are taken on its logarithm."""
        return SOURCES.get(self.name) in (Source.COUNTED, Source.MEASURED)

    def key(self, kind: str) -> str:
        """Its name among a trial's `objectives`, as measured on `kind`."""
        return value_name(self.name, DeviceKind(kind))

    def entry(self, objectives: object, kind: str) -> Mapping[str, object] | None:
        """{value, unit, spread, n} of this objective on `kind` in a row's `objectives`; None where it is unknown."""
        found = objectives.get(self.key(kind)) if isinstance(objectives, Mapping) else None
        return found if isinstance(found, Mapping) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """One row of `studies`; see docs/sql.md."""

    study: str
    state: str
    stall: str | None
    state_reason: str | None
    strategy: str
    strategy_version: str | None
    seed: int
    trials_budget: int | None
    time_budget_s: float | None
    n_trials: int
    n_charged: int
    n_completed: int
    n_running: int
    n_queued: int
    n_failed: int
    n_infeasible: int
    n_pruned: int
    n_cancelled: int
    used_s: float
    learned_seq: int
    spec: Mapping[str, object]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def n_done(self) -> int:
        """Trials that are final and charged to the budget."""
        return self.n_completed + self.n_infeasible + self.n_pruned

    @property
    def n_stored(self) -> int:
        """All trials there are, whatever they came to; their numbers are 0, 1, 2 ..."""
        return self.n_charged + self.n_failed + self.n_cancelled

    @property
    def objectives(self) -> tuple[ObjectiveColumn, ...]:
        """In the study file's order."""
        listed = self.spec.get("objectives")
        assert isinstance(listed, list)
        train = self.spec.get("train")
        task = str(train["task"]) if isinstance(train, Mapping) and "task" in train else ""
        return tuple(
            ObjectiveColumn(
                name=item["name"],
                unit=item.get("unit") or unit_of(item["name"], task=task),
                is_maximised=item.get("direction") == "max",
                on=tuple(item.get("on") or ()),
            )
            for item in listed
        )

    @property
    def device_kinds(self) -> tuple[str, ...]:
        """The kinds that have a front of their own, in order of mention; at least one."""
        return tuple(dict.fromkeys(kind for objective in self.objectives for kind in objective.on)) or (LOCAL,)

    def objectives_on(self, kind: str) -> tuple[ObjectiveColumn, ...]:
        """The columns of one kind's front."""
        return tuple(objective for objective in self.objectives if not objective.on or kind in objective.on)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontScore:
    """The latest row of `hypervolume_history` of one device kind; `hypervolume` is None until the baselines are in."""

    device_kind: str
    hypervolume: float | None
    front_size: int
    learned_seq: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProgress:
    """How many trials a device kind has measured, measures, owes and could not measure."""

    device_kind: str
    n_measured: int
    n_running: int
    n_queued: int
    n_without: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """One row of `workers`."""

    worker_id: int
    worker: str
    host: str
    device_kind: str
    state: str
    stages: Sequence[str]
    studies: Sequence[str]
    attempts: int
    busy_s: float | None
    paused_s: float | None
    idle_s: float | None
    registered_at: datetime
    last_seen_at: datetime
    offers: Sequence[str] = ()
    memory_mib: int | None = None

    def serves(self, study: str) -> bool:
        """Whether it takes work of that study."""
        return not self.studies or study in self.studies

    @property
    def shares(self) -> Mapping[str, float] | None:
        """Busy, paused and idle as shares of its age; None before it first said."""
        if self.busy_s is None or self.paused_s is None or self.idle_s is None:
            return None
        seconds = {"busy": self.busy_s, "paused": self.paused_s, "idle": self.idle_s}
        total = sum(seconds.values())
        return {name: value / total for name, value in seconds.items()} if total > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`n` trials finished with `seconds` between the first and the last of them."""

    n: int
    seconds: float

    @property
    def per_s(self) -> float | None:
        """Trials a second; None before two have finished."""
        return (self.n - 1) / self.seconds if self.n > 1 and self.seconds > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a study is, who works on it, and what it has found."""

    study: StudyRow
    fronts: Sequence[FrontScore]
    workers: Sequence[WorkerRow]
    pace: Pace
    n_controllers: int
    devices: Sequence[DeviceProgress] = ()

    @property
    def left_s(self) -> float | None:
        """Seconds until the budget is used, at the present pace; None where that can't be told or nothing is left."""
        row = self.study
        if row.state not in ("running", "paused"):
            return None
        ends = []
        if row.trials_budget is not None and self.pace.per_s is not None:
            ends.append((row.trials_budget - row.n_done) / self.pace.per_s)
        if row.time_budget_s is not None:
            ends.append(row.time_budget_s - row.used_s)
        left_s = min(ends, default=0.0)
        return left_s if left_s > 0 else None

    @property
    def standstill(self) -> str | None:
        """Why nothing moves, in a sentence with its remedy; None while something does, or nothing should."""
        row = self.study
        if row.state == "running" and self.n_controllers == 0:
            return "no controller runs: `nasd run` its study file again, or start `nasd controller`"
        return row.stall
