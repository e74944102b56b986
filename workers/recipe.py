"""Recipe: a study's specification as the store hands it over, read into values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

from nasd.domain.data import DataFacts
from nasd.domain.ids import DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.study import StudySpec
from nasd.errors import NasdError, WorldFault
from nasd.studyfile import spec_from_json
from nasd.usercode import functions_of, refuse_unless_allowed

MOST_KEPT = 16  # by an evaluating child, the latest ones


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that an evaluation needs beside its assignment."""

    spec: StudySpec
    data: DataFacts | None

    @classmethod
    def read(cls, value: Mapping[str, object]) -> Recipe:
        """From `{"spec": ..., "data": ... or null}`.

        Raises:
            WorldFault: this version of the program can't read it.
        """
        try:
            data = value.get("data")
            spec = spec_from_json(cast("dict[str, Any]", value["spec"]))
            return cls(spec, DataFacts.from_json(cast("Mapping[str, Any]", data)) if data else None)
        except (NasdError, KeyError, TypeError, ValueError) as error:
            raise WorldFault(
                "recipe_unreadable", f"the study's recipe can't be read here ({error}); use the controller's version"
            ) from error

    def runs_users_code(self, stage: Stage, kind: DeviceKind) -> bool:
        """Whether a function of the user's takes part in `stage`; in measuring an exported file none does."""
        if stage is Stage.MEASURE and self.spec.device_on(kind).needs_artifact:
            return False
        return bool(functions_of(self.spec, stage))

    def refuse_unless(self, allow: Collection[str]) -> None:
        """Refuse a study whose functions come from elsewhere than the packages `allow`.

        Raises:
            FunctionError: `not_allowed`.
        """
        for key, dotted in functions_of(self.spec).items():
            refuse_unless_allowed(dotted, what=key, allow=allow)

    def time_limit_s(self, stage: Stage) -> float | None:
        """The study file's own limit for one evaluation of `stage`."""
        if stage is Stage.TRAIN:
            return self.spec.train.time_limit_s
        if stage is Stage.RUN and self.spec.evaluation is not None:
            return self.spec.evaluation.time_limit_s
        return None
