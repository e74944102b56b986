"""Assignment: what the evaluating child is told of an evaluation, and how it and its answer look on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nasd.domain.architecture import Architecture
from nasd.domain.artifact import ArtifactRef
from nasd.domain.ids import DeviceKind, StudyId, TrialNumber
from nasd.domain.measurement import Measurement, Outcome, OutcomeKind, Stage
from nasd.ports.lease import Lease

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Assignment:
    """A lease without its token: users' code runs beside it and has no business with the right to report.

    Attributes:
        artifacts: paths of this machine by format.
        outbox: a folder for what the stage makes; None: it makes nothing.
    """

    study_id: StudyId
    study_name: str
    trial_number: TrialNumber
    stage: Stage
    device_kind: DeviceKind
    replicate: int
    seed: int
    fidelity: int
    architecture: Architecture
    artifacts: Mapping[str, str] = field(default_factory=dict)
    outbox: str | None = None

    @classmethod
    def of(cls, lease: Lease, *, artifacts: Mapping[str, str] | None = None, outbox: str | None = None) -> Assignment:
        return cls(
            study_id=lease.study_id,
            study_name=lease.study_name,
            trial_number=lease.trial_number,
            stage=lease.stage,
            device_kind=lease.device_kind,
            replicate=lease.replicate,
            seed=lease.seed,
            fidelity=lease.fidelity,
            architecture=lease.architecture,
            artifacts=artifacts or {},
            outbox=outbox,
        )

    def to_json(self) -> Json:
        files: Json = {"artifacts": dict(self.artifacts)} if self.artifacts else {}
        if self.outbox is not None:
            files["outbox"] = self.outbox
        return {
            **files,
            "study_id": self.study_id,
            "study_name": self.study_name,
            "trial_number": self.trial_number,
            "stage": self.stage,
            "device_kind": self.device_kind,
            "replicate": self.replicate,
            "seed": self.seed,
            "fidelity": self.fidelity,
            "architecture": self.architecture.json,
        }

    @classmethod
    def from_json(cls, value: Json) -> Assignment:
        fields = dict(value)
        fields["stage"] = Stage(fields["stage"])
        fields["architecture"] = Architecture.from_json(fields["architecture"])
        return cls(**fields)


def outcome_to_json(outcome: Outcome) -> Json:
    """The inverse of `outcome_from_json`, without the log where it is empty."""
    value: Json = {"kind": outcome.kind, "seconds": dict(outcome.seconds)}
    if outcome.measurements:
        value["measurements"] = [
            asdict(one) | {"conditions": dict(one.conditions)} if one.conditions else asdict(one)
            for one in outcome.measurements
        ]
    if outcome.artifacts:
        value["artifacts"] = [asdict(one) for one in outcome.artifacts]
    for name in ("reason", "message", "violation", "log"):
        if content := getattr(outcome, name):
            value[name] = content
    return value


def outcome_from_json(value: Json) -> Outcome:
    """Read what `outcome_to_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    return Outcome(
        OutcomeKind(value["kind"]),
        measurements=_measurements(value.get("measurements", ())),
        reason=value.get("reason"),
        message=value.get("message"),
        violation=value.get("violation"),
        log=value.get("log", ""),
        seconds=value.get("seconds", {}),
        artifacts=tuple(ArtifactRef(**one) for one in value.get("artifacts", ())),
    )


def _measurements(values: Sequence[Mapping[str, Any]]) -> tuple[Measurement, ...]:
    return tuple(Measurement(**one) for one in values)
