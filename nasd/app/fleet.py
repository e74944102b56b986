"""The worker processes of one `nasd run`: alike, or a simulated fleet of device kinds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from nasd.app.fleet_file import Fleet, WorkerGroup
from nasd.app.quota import CpuQuota
from nasd.config import meter_function
from nasd.controller.stages import ENERGY, needs
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.study import StudySpec
from nasd.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Hand:
    """One worker process to start.

    Attributes:
        arguments: of `nasd worker`, beside those that all workers of a run have.
        environment: beside that of all.
        cores: CPUs it is pinned to; None: not pinned.
        quota: the control group that it lives in; None: none.
    """

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    cores: frozenset[int] | None = None
    quota: CpuQuota | None = None


@dataclass(frozen=True, slots=True)
class Crew:
    """All workers of a run, and what was made for them."""

    hands: tuple[Hand, ...]
    quotas: tuple[CpuQuota, ...] = ()

    def close(self) -> None:
        """Undo what was made, when the workers have gone."""
        for quota in self.quotas:
            quota.close()


def check_meter(spec: StudySpec, fleet: Fleet | None) -> None:
    """Refuse a study that wants energy of a kind that only this machine's workers measure, where none can be read.

    Raises:
        SettingsError: no meter; the search would train to its end and then wait for ever.
    """
    here = {LOCAL} if fleet is None else {DeviceKind(group.kind) for group in fleet.groups}
    wanting = [kind for kind in spec.device_kinds() if kind in here and ENERGY in needs(spec, Stage.MEASURE, kind)]
    if not wanting or meter_function() is not None:  # a user's own meter is opened by the worker that may run its code
        return
    from nasd.profiling.meters import available
    from nasd.runtimes.offers import offers

    if available(on_gpu="gpu" in offers()) is None:
        raise SettingsError(
            f"energy_mj on {', '.join(wanting)}: no energy meter can be read here, and no stand-in is used. Name one in"
            " NASD_METER (package.module:function, joules so far), or take energy_mj out of the study file"
        )


def usable_cores() -> tuple[int, ...] | None:
    """CPUs of this process, ascending; None where processes can't be pinned."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None


def alike(spec: StudySpec, n_workers: int) -> Crew:
    """Workers that all serve every stage of the study as this machine."""
    return Crew(tuple(Hand(f"worker {number}", _arguments(LOCAL, spec.stages())) for number in range(1, n_workers + 1)))


def crew_of(fleet: Fleet, spec: StudySpec) -> Crew:
    """The workers of a fleet.

    Raises:
        Unavailable: a quota that this system does not allow.
    """
    hands: list[Hand] = []
    quotas: list[CpuQuota] = []
    try:
        for group in fleet.groups:
            for _ in range(group.count if group.serves(spec) else 0):
                number = len(hands) + 1
                if group.cpu_quota is not None:
                    quotas.append(CpuQuota(group.cpu_quota, name=str(number)))
                hands.append(_hand(number, group, spec, quotas[-1] if group.cpu_quota is not None else None))
    except BaseException:
        Crew((), tuple(quotas)).close()
        raise
    return Crew(tuple(hands), tuple(quotas))


def described(fleet: Fleet, spec: StudySpec) -> list[str]:
    """What is applied, a line for each group of workers; nothing more holds them back."""
    return [_described(group, spec) for group in fleet.groups]


def _hand(number: int, group: WorkerGroup, spec: StudySpec, quota: CpuQuota | None) -> Hand:
    environment = {} if group.memory_mib is None else {"NASD_WORKER__MEMORY_LIMIT_MIB": str(group.memory_mib)}
    usable = usable_cores() or ()
    cores = None if group.cores is None else frozenset(usable[place] for place in group.cores)
    name = f"worker {number} ({group.kind})"
    return Hand(name, _arguments(group.kind, group.serves(spec)), environment, cores, quota)


def _arguments(kind: str, stages: Sequence[Stage]) -> tuple[str, ...]:
    # a worker that is not told its stages imports torch to serve all that it could
    return ("--device-kind", kind, *(word for stage in stages for word in ("--stage", str(stage))))


def _described(group: WorkerGroup, spec: StudySpec) -> str:
    stages = group.serves(spec)
    parts = [", ".join(stages) if stages else "nothing that this study has, so not started"]
    if Stage.MEASURE in stages:
        device = spec.device_on(DeviceKind(group.kind))
        threads = "1 thread" if device.threads == 1 else f"{device.threads} threads"
        parts.append(f"runs {device.offer}, {device.precision}, batch {device.batch}, {threads}")
    parts.append("any core" if group.cores is None else f"core {', '.join(map(str, group.cores))}")
    parts += [] if group.memory_mib is None else [f"{group.memory_mib} MiB an evaluation"]
    parts += [] if group.cpu_quota is None else [f"{group.cpu_quota:g} CPUs' time"]
    return f"fleet: {group.count} as {group.kind}: {'; '.join(parts)}"
