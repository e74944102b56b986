"""`nasd measure`: trials of a study measured on a device kind that joined later, or that missed some."""

from __future__ import annotations

from dataclasses import dataclass

from nasd.app.reading import StudyArgument
from nasd.domain.devices import DeviceSpec
from nasd.domain.ids import DeviceKind
from nasd.domain.study import StudySpec
from nasd.errors import UserError
from nasd.ports.trials import Study, Wanted
from nasd.store.studies import PgStudies
from nasd.studyfile import load, refuse_changes, with_found, with_joined, with_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What came of it.

    Attributes:
        is_new: the study did not know the kind before.
        n_controllers: that are there to have it measured.
    """

    study: str
    device_kind: DeviceKind
    which: Wanted
    is_new: bool
    device: DeviceSpec
    n_controllers: int


def measure_on(
    studies: PgStudies,
    argument: StudyArgument,
    kind: DeviceKind,
    which: Wanted,
    *,
    device: DeviceSpec | None = None,
    of: tuple[str, ...] = (),
) -> Asked:
    """Have trials of a stored study measured on `kind`; its proposals and its other fronts stay what they are.

    Args:
        device: what runs a network there, of a kind that is new; None: what the study's file says, else the default.
        of: objectives to measure there, of a kind that is new; empty: all that are measured.

    Raises:
        UserError: there is no such study, or it can't be measured so.
    """
    study = studies.find(argument.name)
    if study is None:
        raise UserError(f'there is no study "{argument.name}"; known: {", ".join(studies.names()) or "none yet"}')
    is_new = kind not in study.spec.device_kinds()
    if not is_new and (device is not None or of):
        raise UserError(
            f'study "{study.name}" measures on {kind} already, and its values must go on meaning the same. '
            "Leave the options of the kind out, or give it another name"
        )
    spec = _spec(study, argument, kind, device=device, of=of) if is_new else study.spec
    studies.measure(study.name, spec, kind, which)
    return Asked(
        study=study.name,
        device_kind=kind,
        which=which,
        is_new=is_new,
        device=spec.device_on(kind),
        n_controllers=studies.n_controllers(),
    )


def _spec(
    study: Study, argument: StudyArgument, kind: DeviceKind, *, device: DeviceSpec | None, of: tuple[str, ...]
) -> StudySpec:
    """The study with the new kind: from its file where that has it."""
    if argument.file is not None and device is None and not of:
        changed = with_joined(with_found(load(argument.file), study.spec), study.spec, study.joined)
        if kind in changed.device_kinds():
            refuse_changes(study.spec, changed, file=argument.file)
            return changed
    try:
        return with_kind(study.spec, kind, device, of=of or None)
    except ValueError as error:
        raise UserError(str(error)) from error
