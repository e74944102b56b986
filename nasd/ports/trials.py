"""TrialStore: what the controller's loops need of the database, one transaction a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from nasd.domain.data import DataFacts
from nasd.domain.history import Fact, Proposal
from nasd.domain.ids import DeviceKind, LearnedSeq, StudyId, TrialId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.study import StudySpec


class StudyState(StrEnum):
    """RUNNING studies are planned for; PAUSED ones keep what is in flight going and get no new trials."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"  # its budget or its space is used up
    STOPPED = "stopped"  # by an operator; may be resumed


class Wanted(StrEnum):
    """Which of a study's trials are to be measured on a device kind that joins, or that missed some."""

    FRONT = "front"  # the members of any of its fronts
    ALL = "all"  # everything that completed


@dataclass(frozen=True, slots=True)
class Study:
    """A row of the study table.

    Attributes:
        used_s: wall seconds of search so far, over all sessions (paused time excluded).
        reference: device kind -> the scoring box, once frozen (`nasd.domain.scoring.ScoringBox` as JSON).
        strategy_version: of the strategy that made its trials; another version may not continue the study.
        joined: device kind -> the number of the first trial whose proposal could serve it; empty: all kinds of the
            specification from the first trial on. Where it is not empty, a kind that it lacks is joining: the leader
            says at which trial.
        wanted: device kind -> what an operator wants measured there (`nasd.ports.trials.Wanted`).
    """

    id: StudyId
    name: str
    spec: StudySpec
    data: DataFacts | None
    state: StudyState
    used_s: float = 0.0
    strategy_version: str | None = None
    reference: Mapping[str, object] = field(default_factory=dict)
    joined: Mapping[str, int] = field(default_factory=dict)
    wanted: Mapping[str, Wanted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredTrial:
    """A trial as it is needed to rebuild a history.

    Attributes:
        proposed_from: the learned_seq its proposal saw.
    """

    number: TrialNumber
    proposal: Proposal
    proposed_from: LearnedSeq
    strategy: str
    strategy_version: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial that became final, or whose values changed, and has not been learned yet."""

    trial_id: TrialId
    number: TrialNumber
    kind: str  # `result` or `revision`
    state: State
    values: Mapping[str, float]
    violation: float


@dataclass(frozen=True, slots=True)
class NewEvaluation:
    """One stage of a trial. Higher priority is leased first.

    Attributes:
        needs: what its worker must offer, beside the stage.
        needs_memory_mib: memory that it is expected to take at most.
        awaits: the format of a file that the trial must have first; None: none.
        is_required: whether the trial waits for it; else what it measures revises the trial.
    """

    stage: Stage
    device_kind: DeviceKind
    priority: int
    replicate: int = 0
    round: int = 1
    needs: tuple[str, ...] = ()
    needs_memory_mib: int = 0
    awaits: str | None = None
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class NewTrial:
    """A trial to store; without evaluations it is INFEASIBLE at once: what is known ahead breaks a limit.

    Attributes:
        counts: exact values known before an evaluation: counts, and what the user's own function declares.
        units: of those of the user's own.
    """

    number: TrialNumber
    proposal: Proposal
    proposed_from: LearnedSeq
    strategy: str
    strategy_version: str
    fidelity: int
    seed: int
    counts: Mapping[str, float]
    evaluations: tuple[NewEvaluation, ...]
    violation: float = 0.0
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FrontChange:
    """What one fact did to one front.

    Attributes:
        left: trial number -> the word for why (`dominated`, `revised`, `retracted`).
        hypervolume: after the change, in the study's scoring box; None while the box is not frozen yet.
        size: members after the change.
    """

    device_kind: DeviceKind
    seq: LearnedSeq
    entered: tuple[TrialNumber, ...]
    left: Mapping[TrialNumber, str]
    hypervolume: float | None
    size: int


@dataclass(frozen=True, slots=True)
class Step:
    """Everything one planner tick changes; stored in one transaction or not at all.

    Attributes:
        facts: with consecutive seqs; `trial_ids[i]` is the trial of `facts[i]`.
        new_rounds: (trial number, evaluation) of later measuring rounds for trials that exist.
        reference: newly frozen scoring boxes by device kind.
        joined: device kinds that are served from this step's first trial on.
        granted: of `Study.wanted`, what this step's `new_rounds` carry out.
        state: the study's next state and why, where it changes.
        cancel_open: cancel what is still queued or running (the study ends).
    """

    study: StudyId
    facts: tuple[Fact, ...] = ()
    trial_ids: tuple[TrialId, ...] = ()
    trials: tuple[NewTrial, ...] = ()
    new_rounds: tuple[tuple[TrialNumber, NewEvaluation], ...] = ()
    front: tuple[FrontChange, ...] = ()
    reference: Mapping[str, object] = field(default_factory=dict)
    strategy_version: str | None = None
    joined: Mapping[str, int] = field(default_factory=dict)
    granted: Mapping[DeviceKind, Wanted] = field(default_factory=dict)
    state: tuple[StudyState, str] | None = None
    cancel_open: bool = False
    used_s: float = 0.0  # wall seconds to add


@dataclass(frozen=True, slots=True)
class OpenLease:
    """What the reaper watches: it expires when `renewals` has not moved for `duration_s` of the reaper's own time."""

    evaluation_id: int
    token: str
    renewals: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A registered worker.

    Attributes:
        beats: a counter; the controller judges liveness by its standing still, as with leases.
        studies: names it serves; empty = any.
        packages: that users' functions may be imported from.
        offers: what it can do beside its stages, such as runtimes.
        memory_mib: of its machine; None: unknown.
        is_draining: its device gets no more work.
    """

    name: str
    device_kind: DeviceKind
    stages: tuple[Stage, ...]
    studies: tuple[str, ...]
    beats: int
    last_seen_at: datetime
    packages: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    memory_mib: int | None = None
    is_draining: bool = False


class Leadership(Protocol):
    """One row with an epoch decides who acts."""

    def take(self, holder: str, *, depose: int | None) -> int | None:
        """Become leader, of a free row or of the one whose epoch is `depose`; None where somebody else leads."""
        ...

    def watch(self) -> tuple[int, int] | None:
        """(epoch, beats) of the present leader; None where nobody leads."""
        ...

    def beat(self, epoch: int) -> None:
        """Say that this leader lives.

        Raises:
            Deposed: the row carries another epoch.
        """
        ...

    def resign(self, epoch: int) -> None:
        """Leave the row free; no effect where deposed already."""
        ...


class TrialStore(Protocol):
    """The controller's rows. Every write share-locks the leader row with its own epoch first, else Deposed."""

    def studies(self) -> Sequence[Study]:
        """Those that are RUNNING or PAUSED, oldest first."""
        ...

    def history(self, study: StudyId) -> tuple[Sequence[StoredTrial], Sequence[Fact]]:
        """All trials in number order and all facts in learned order."""
        ...

    def finished(self, study: StudyId, limit: int) -> Sequence[Finished]:
        """What is final and not learned, oldest first."""
        ...

    def apply(self, epoch: int, step: Step) -> None: ...

    def open_leases(self) -> Sequence[OpenLease]: ...

    def expire(self, epoch: int, leases: Sequence[OpenLease], *, spend_attempt: bool) -> int:
        """Take back leases that still have the same token and count of renewals; how many there were."""
        ...

    def n_open(self, study: StudyId) -> Mapping[DeviceKind, int]:
        """Evaluations that are queued or running, by device kind; empty where nothing more will come."""
        ...

    def workers(self) -> Sequence[LiveWorker]: ...
