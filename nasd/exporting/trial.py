"""A stored trial with everything that an export says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nasd.domain.architecture import Architecture
from nasd.domain.artifact import ArtifactRef
from nasd.domain.data import DataFacts
from nasd.domain.measurement import Stage
from nasd.domain.study import StudySpec
from nasd.errors import UserError

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """What rows say.

    Attributes:
        seed: of weights, data order and dropout.
        steps: it was trained for.
        measurements: current ones, in order of arrival.
        fronts: device kinds whose front it is on now.
        weights: as an artifact, where the study has one.
    """

    study: str
    number: int
    spec: StudySpec
    facts: DataFacts
    architecture: Architecture
    seed: int
    steps: int
    state: str = "completed"
    operator: str = ""
    recipe: str = ""
    measurements: Sequence[Row] = ()
    fronts: Sequence[str] = ()
    weights: ArtifactRef | None = None
    values: Mapping[str, object] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        return f"trial {self.number} of {self.study}"

    def measured(self, name: str) -> Row | None:
        """The first current measurement of that name."""
        return next((row for row in self.measurements if row["name"] == name), None)

    @property
    def took_s(self) -> float | None:
        """How long its training took in the study; None where it was not trained."""
        row = self.measured("val_loss")
        conditions = None if row is None else row["conditions"]
        seconds = conditions.get("seconds") if isinstance(conditions, Mapping) else None
        return float(seconds) if isinstance(seconds, int | float) else None


def require_network(trial: TrialRecord) -> None:
    """Refuse a trial that nasd builds no network of.

    Raises:
        UserError: its evaluation is a function of the user's own.
    """
    if Stage.RUN in trial.spec.stages():
        function = trial.spec.evaluation.run if trial.spec.evaluation is not None else ""
        raise UserError(
            f'{trial.shown}: was evaluated by evaluation.run = "{function}", '
            "which alone knows its network. Export it there"
        )
