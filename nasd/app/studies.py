"""A study from its file: checked whole before anything is stored, created, or gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from nasd.app.prepared import prepare
from nasd.daemon.parts import build_parts
from nasd.domain.ids import StudyId
from nasd.errors import UserError
from nasd.ports.trials import Study, StudyState
from nasd.store.studies import PgStudies
from nasd.studyfile import load, refuse_changes


def open_study(path: Path, studies: PgStudies, *, time_s: float | None = None, why: str = "run again") -> Study:
    """The study of a file: a new one, or the stored one with the budget the file gives it now.

    Args:
        time_s: instead of the file's `budget.time`.

    Raises:
        StudyFileError: the file can't be used, or it changes what the study's trials mean.
        UserError: space, data or strategy can't be built.
    """
    spec = load(path)
    if time_s is not None:
        spec = replace(spec, budget=replace(spec.budget, time_s=time_s))
    stored = studies.find(spec.name)
    if stored is None:
        data = prepare(path).facts  # names the line of an option that the space does not have
        # refuse what can't be built before anything is stored
        build_parts(Study(id=StudyId(0), name=spec.name, spec=spec, data=data, state=StudyState.RUNNING))
        studies.create(spec, data)
    else:
        refuse_changes(stored.spec, spec, file=path)
        studies.go_on(stored.id, spec, why=why)
    found = studies.find(spec.name)
    if found is None:
        raise UserError(f'study "{spec.name}" was deleted while it was being opened; run it again')
    return found
