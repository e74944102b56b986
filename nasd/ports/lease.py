"""LeaseStore: all that a worker may ask of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from nasd.domain.architecture import Architecture
from nasd.domain.artifact import ArtifactRef
from nasd.domain.ids import DeviceKind, EvaluationId, StudyId, TrialNumber, WorkerId
from nasd.domain.measurement import Outcome, Stage

PROTOCOL = 3  # of the lease functions; a worker that speaks another one is refused


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker says of itself when it registers.

    Attributes:
        name: unique among live workers, e.g. `host-4711`.
        host: machine name; workers of one host share a measuring lock.
        facts: processor, cores, memory, accelerator, runtimes and versions.
        offers: what it can do beside its stages: runtimes, "gpu", "energy".
        memory_mib: that one evaluation may take; None: unknown, so that nothing is refused for its memory.
    """

    name: str
    host: str
    device_kind: DeviceKind
    stages: tuple[Stage, ...]
    studies: tuple[str, ...] = ()  # names it serves; empty = any
    packages: tuple[str, ...] = ()  # that users' functions may be imported from
    facts: Mapping[str, object] = field(default_factory=dict)
    offers: tuple[str, ...] = ()
    memory_mib: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to report on one evaluation until it stands still for `duration_s`, proved by `token`."""

    evaluation_id: EvaluationId
    token: str
    attempt: int
    duration_s: float
    study_id: StudyId
    study_name: str
    trial_number: TrialNumber
    stage: Stage
    device_kind: DeviceKind
    replicate: int
    seed: int  # of weights, data order and dropout
    fidelity: int  # optimiser steps; 0 where the stage has none
    architecture: Architecture
    artifacts: tuple[ArtifactRef, ...] = ()  # that the trial has


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of an exchange.

    Attributes:
        leases: the new ones.
        refused: those among the reported whose result was not accepted; it is kept as superseded.
    """

    leases: tuple[Lease, ...]
    refused: tuple[Lease, ...]


class Directive(StrEnum):
    """The store's answer to a renewal."""

    CARRY_ON = "carry_on"
    STOP_EARLY = "stop_early"  # report what there is as PRUNED
    ABANDON = "abandon"  # cancelled or lost: report nothing


class LeaseStore(Protocol):
    """Leases, renewals and results. Every write presents its token.

    Laws (tests/contract/test_lease_store.py): one evaluation is leased to one worker at a time; a late result of the
    newest attempt is accepted, of an older one refused (LeaseLost) and kept as superseded; giving back spends no
    attempt; a repeated `finish` of an accepted result is accepted again and changes nothing.
    """

    def register(self, worker: WorkerInfo) -> WorkerId: ...

    def lease_next(self, worker: WorkerId) -> Lease | None:
        """The next evaluation that its kind, stages, studies, packages, offers and memory allow; None: none is left."""
        ...

    def recipe(self, worker: WorkerId, study: StudyId) -> Mapping[str, object]:
        """The study's specification as JSON: what an evaluation needs beside its architecture.

        It changes only where a device kind joins the study.
        """
        ...

    def renew(self, lease: Lease, progress: Mapping[str, object]) -> Directive: ...

    def finish(self, lease: Lease, outcome: Outcome) -> None:
        """Report an outcome, in one transaction.

        Raises:
            LeaseLost: a newer attempt was leased; the result is kept as superseded.
        """
        ...

    def exchange(self, worker: WorkerId, reports: Sequence[tuple[Lease, Outcome]], n: int) -> Exchange:
        """Report COMPLETED outcomes and lease up to `n` more, in one transaction: for very short evaluations."""
        ...

    def give_back(self, lease: Lease) -> None:
        """Return the work undone (SIGTERM): QUEUED again, no attempt spent."""
        ...

    def beat(self, worker: WorkerId, activity: Mapping[str, float]) -> None:
        """Say that the worker lives, with its seconds so far by activity (`busy`, `paused`, `idle`)."""
        ...

    def leave(self, worker: WorkerId) -> None: ...
