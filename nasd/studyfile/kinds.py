"""What a study's rows know and its file may not: device kinds that joined, architectures that it begins with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from nasd.domain.devices import DeviceSpec
from nasd.domain.ids import LOCAL, DeviceKind
from nasd.domain.objective import SOURCES, Source
from nasd.domain.study import ObjectiveSpec, StudySpec


def with_kind(
    spec: StudySpec, kind: DeviceKind, device: DeviceSpec | None, *, of: Collection[str] | None = None
) -> StudySpec:
    """`spec` with `kind` at the end of its measured objectives' kinds.

    Args:
        device: what runs a network there; None: the default.
        of: objectives to measure there; None: all that are measured.

    Raises:
        ValueError: no objective is measured, or one of `of` is none that is.
    """
    measured = [name for name in spec.objectives if SOURCES.get(name) is Source.MEASURED]
    if not measured:
        raise ValueError(
            f'study "{spec.name}" measures nothing on a device. Add an objective such as latency_ms = {{}}'
        )
    for name in of or ():
        if name not in measured:
            raise ValueError(f"{name}: is no measured objective of study {spec.name}; it has {', '.join(measured)}")
    objectives = {
        name: _on(each, kind) if name in (measured if of is None else of) else each
        for name, each in spec.objectives.items()
    }
    devices = spec.devices if device is None else {**spec.devices, kind: device}
    return replace(spec, objectives=objectives, devices=devices)


def _on(objective: ObjectiveSpec, kind: DeviceKind) -> ObjectiveSpec:
    on = objective.on or (LOCAL,)
    return objective if kind in on else replace(objective, on=(*on, kind))


def with_joined(spec: StudySpec, stored: StudySpec, joined: Mapping[str, int]) -> StudySpec:
    """`spec` as a file has it, with the kinds that joined the stored study meanwhile.

    Args:
        joined: kind -> the first trial that could serve it; 0 of those that founded the study.
    """
    for kind in stored.device_kinds():
        if joined and joined.get(kind) != 0 and kind not in spec.device_kinds():
            of = [name for name, each in stored.objectives.items() if kind in each.on and name in spec.objectives]
            spec = with_kind(spec, kind, stored.devices.get(kind), of=of)
    return spec


def grown(old: StudySpec, new: StudySpec) -> frozenset[str]:
    """The keys, as `changes` names them, in which `new` only adds device kinds at the end of what `old` has."""
    known = old.device_kinds()
    added = [kind for kind in new.device_kinds() if kind not in known]
    if not added or new.device_kinds()[: len(known)] != known:
        return frozenset()
    keys = {
        f"objectives.{name}.on"
        for name, each in old.objectives.items()
        if name in new.objectives and new.objectives[name].on[: len(each.on)] == each.on and each.on
        if set(new.objectives[name].on[len(each.on) :]) <= set(added)
    }
    keys |= {f"devices.{kind}.{field}" for kind in added for field in DeviceSpec.__dataclass_fields__}
    more = new.limits[len(old.limits) :]
    if new.limits[: len(old.limits)] == old.limits and all(limit.on in added for limit in more):
        keys.add("limits")
    return frozenset(keys)


def with_found(spec: StudySpec, stored: StudySpec) -> StudySpec:
    """What a warm start found is settled when a study is created: files and other studies go on changing."""
    if spec.warm_start is None or stored.warm_start is None:
        return spec
    return replace(spec, warm_start=replace(spec.warm_start, found=stored.warm_start.found))
