"""The file of a simulated fleet: which worker processes of one machine play which device kinds, and how held back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from nasd.domain.devices import DevicePrecision, DeviceSpec, Runtime
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.study import StudySpec
from nasd.errors import StudyFileError, UserError
from nasd.studyfile.lines import Path as KeyPath
from nasd.studyfile.source import Source

_MEASURING = frozenset({Stage.MEASURE, Stage.RUN})  # what belongs to a device kind


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkerGroup(_Frozen):
    """One `[[workers]]` entry: processes that are alike.

    Attributes:
        cores: the CPUs that they may use, counted from 0 among those that this process may use; None: all of these.
        stages: that they serve; None: all that the study has.
        memory_mib: an evaluation that takes more is ended; None: no limit.
        cpu_quota: CPUs' worth of time that each may take, such as 0.5. Not for workers that measure: the kernel stops a
            process for a part of every tenth of a second, which single timed calls don't see.
    """

    kind: str = LOCAL
    count: PositiveInt = 1
    cores: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    stages: tuple[Stage, ...] | None = Field(default=None, min_length=1)
    memory_mib: PositiveInt | None = None
    cpu_quota: PositiveFloat | None = None

    @model_validator(mode="after")
    def _a_quota_is_no_slower_device(self) -> Self:
        if self.cpu_quota is not None and (self.stages is None or _MEASURING & set(self.stages)):
            raise ValueError(
                "cpu_quota: single timed calls don't see it, so it makes no slower device. Give it to workers whose "
                'stages are "train" and "export"; let kinds differ in runtime, precision, threads or batch'
            )
        return self

    def serves(self, spec: StudySpec) -> tuple[Stage, ...]:
        """Its stages among those that the study has."""
        return tuple(stage for stage in spec.stages() if self.stages is None or stage in self.stages)


class Expected(_Frozen):
    """One `[kinds.KIND]` table: what a study's [devices.KIND] has to say for this fleet; None: anything."""

    runtime: Runtime | None = None
    provider: str | None = None
    precision: DevicePrecision | None = None
    threads: PositiveInt | None = None
    batch: PositiveInt | None = None


class _File(_Frozen):
    workers: tuple[WorkerGroup, ...] = Field(min_length=1)
    kinds: Mapping[str, Expected] = Field(default_factory=dict)


class Fleet:
    """A read file. Mistakes are sentences that name its line."""

    def __init__(self, source: Source, file: _File) -> None:
        self._source = source
        self.groups, self.kinds = file.workers, file.kinds

    @classmethod
    def read(cls, path: Path) -> Fleet:
        """Read the file.

        Raises:
            UserError: it can't be read, or says what no fleet can be.
        """
        if not path.is_file():
            raise UserError(f"--fleet {path}: no such file. An example is examples/fleet.toml")
        source = Source.read(path)
        try:
            return cls(source, _File.model_validate(source.tables))
        except ValidationError as error:
            raise _first(source, error) from error

    def check(self, spec: StudySpec, n_usable: int | None) -> None:
        """Refuse a study that this fleet was not made for, and CPUs that are not there.

        Args:
            n_usable: CPUs of this process; None where it can't be pinned.

        Raises:
            UserError: with the line of the file.
        """
        kinds = spec.device_kinds()
        for index, group in enumerate(self.groups):
            if group.kind not in kinds and _MEASURING & set(group.serves(spec)):
                known = ", ".join(kinds)
                raise self._error(("workers", index, "kind"), f'study "{spec.name}" measures on {known} alone')
            self._check_cores(index, group, n_usable)
        for kind, expected in self.kinds.items():
            if kind not in kinds:
                known = ", ".join(kinds)
                raise self._error(("kinds", kind), f'study "{spec.name}" measures on {known} alone')
            self._check_kind(kind, expected, spec.device_on(DeviceKind(kind)))

    def missing(self, spec: StudySpec) -> list[str]:
        """What of the study no worker of this fleet does, a sentence each; somebody else may join and do it."""
        measuring = {group.kind for group in self.groups if _MEASURING & set(group.serves(spec))}
        others = {stage for group in self.groups for stage in group.serves(spec)}
        wanted = [kind for kind in spec.device_kinds() if _MEASURING & set(spec.stages()) and kind not in measuring]
        lines = [f"no worker of this fleet measures on {kind}: its front waits for one that joins" for kind in wanted]
        unserved = [stage for stage in spec.stages() if stage not in others | _MEASURING]
        return lines + [f"no worker of this fleet serves {stage}: trials wait for one that joins" for stage in unserved]

    def _check_cores(self, index: int, group: WorkerGroup, n_usable: int | None) -> None:
        if group.cores is None:
            return
        path: KeyPath = ("workers", index, "cores")
        if n_usable is None:
            raise self._error(path, "this system can't pin processes to CPUs. Remove the key")
        if max(group.cores) >= n_usable:
            there = "one CPU, number 0" if n_usable == 1 else f"{n_usable} CPUs, 0 to {n_usable - 1}"
            raise self._error(path, f"this process may use {there}. Choose among them, or remove the key")

    def _check_kind(self, kind: str, expected: Expected, device: DeviceSpec) -> None:
        for name, wanted in expected:
            has = getattr(device, name)
            if wanted is not None and has != wanted:
                raise self._error(
                    ("kinds", kind, name),
                    f"the study's [devices.{kind}] has {'none' if has is None else has}. Make them agree",
                )

    def _error(self, path: KeyPath, problem: str) -> StudyFileError:
        return self._source.error(path, problem)


def _first(source: Source, error: ValidationError) -> StudyFileError:
    """The first mistake as a sentence."""
    first = error.errors()[0]
    path: KeyPath = tuple(first["loc"])
    if first["type"] == "extra_forbidden":
        tables: Mapping[str, type[_Frozen]] = {"workers": WorkerGroup, "kinds": Expected}
        model = tables.get(str(path[0]), _File) if len(path) > 1 else _File
        return source.error(path, f"no such key; known: {', '.join(model.model_fields)}")
    if path == ("workers",):
        return source.error(path, "must be at least one [[workers]] table")
    if first["type"] == "too_short":
        return source.error(path, "must not be empty. Remove the key, or name some")
    problem = first["msg"].removeprefix("Value error, ").replace("Input should ", "must ")
    return source.error(path, problem[:1].lower() + problem[1:])
