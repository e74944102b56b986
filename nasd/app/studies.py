"""A study from its file: checked whole before anything is stored, created, or gone on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nasd.app.prepared import Prepared, prepare
from nasd.app.users import in_folder
from nasd.app.warm_start import from_study
from nasd.daemon.parts import build_parts
from nasd.domain.ids import StudyId
from nasd.domain.study import StudySpec
from nasd.errors import UserError
from nasd.ports.trials import Study, StudyState
from nasd.store.studies import PgStudies
from nasd.studyfile import load, located, refuse_changes, with_found, with_joined


def open_study(
    path: Path,
    studies: PgStudies,
    *,
    time_s: float | None = None,
    why: str = "run again",
    say: Callable[[str], None] = lambda _line: None,
) -> Study:
    """The study of a file: a new one, or the stored one with the budget and the device kinds the file gives it now.

    Args:
        time_s: instead of the file's `budget.time`.
        say: told, in a line each, what a new study begins with.

    Raises:
        StudyFileError: the file can't be used, or it changes what the study's trials mean.
        UserError: space, data or strategy can't be built.
    """
    spec = load(path)
    if time_s is not None:
        spec = replace(spec, budget=replace(spec.budget, time_s=time_s))
    stored = studies.find(spec.name)
    if stored is None:
        _create(path, spec, studies, say)
    else:
        spec = with_joined(with_found(spec, stored.spec), stored.spec, stored.joined)
        refuse_changes(stored.spec, spec, file=path)
        studies.go_on(stored.id, spec, why=why)
    found = studies.find(spec.name)
    if found is None:
        raise UserError(f'study "{spec.name}" was deleted while it was being opened; run it again')
    return found


def _create(path: Path, spec: StudySpec, studies: PgStudies, say: Callable[[str], None]) -> None:
    prepared = prepare(path)  # names the line of an option that the space does not have
    spec = _warm(path, spec, prepared, studies, say)
    study = Study(id=StudyId(0), name=spec.name, spec=spec, data=prepared.facts, state=StudyState.RUNNING)
    with in_folder(path.parent):
        build_parts(study, allow=None)  # refuse what can't be built before anything is stored
    studies.create(spec, prepared.facts)


def _warm(path: Path, spec: StudySpec, prepared: Prepared, studies: PgStudies, say: Callable[[str], None]) -> StudySpec:
    """`spec` with the architectures that it begins with, so that its rows alone bring the same proposals back."""
    if spec.warm_start is None:
        return spec
    listed = prepared.warm_start
    try:
        best = from_study(spec, prepared.space, studies, known=(*prepared.baselines, *listed.architectures))
    except UserError as error:
        raise located(path, str(error)) from error
    for line in (*listed.lines, *best.lines):
        say(line)
    found = tuple(each.json for each in (*listed.architectures, *best.architectures))
    return replace(spec, warm_start=replace(spec.warm_start, found=found))
