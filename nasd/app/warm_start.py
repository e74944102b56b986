"""What [warm_start] gives: architectures from a file and the best of another study, canonical in this study's space."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nasd.controller.objectives import history_objectives
from nasd.controller.ranked import ranked, spread
from nasd.domain.architecture import Architecture
from nasd.domain.history import History
from nasd.domain.space import SearchSpace
from nasd.domain.study import StudySpec, WarmStartSpec
from nasd.errors import UserError
from nasd.store.studies import PgStudies
from nasd.store.trials import PgTrialStore


@dataclass(frozen=True, slots=True)
class Found:
    """Architectures in the order in which they are proposed, each once; `lines`: where they came from, for a person."""

    architectures: tuple[Architecture, ...] = ()
    lines: tuple[str, ...] = ()


def from_file(spec: WarmStartSpec, space: SearchSpace, *, folder: Path) -> Found:
    """Those of the file that `architectures` names; nothing where it names none.

    Args:
        folder: where its path begins.

    Raises:
        UserError: it can't be read, or holds something that the space has not: file, entry, gene and value.
    """
    if spec.architectures is None:
        return Found()
    shown = f'warm_start.architectures = "{spec.architectures}"'
    try:
        text = (folder / spec.architectures).read_text(encoding="utf-8-sig")
    except OSError as error:
        remedy = "Give its path as seen from the study file's folder"
        raise UserError(f"{shown}: {error.strerror or error}. {remedy}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{shown}: is not a text in UTF-8. Save it as UTF-8") from error
    legal = [_legal(space, entry, f"{shown}: {place}") for place, entry in _entries(text, shown)]
    if not legal:
        raise UserError(f"{shown}: holds no architectures. Fill the file, or remove the key")
    distinct = tuple(dict.fromkeys(legal))
    return Found(distinct, (f"warm start: {_count(len(distinct))} from {spec.architectures}",))


def _entries(text: str, shown: str) -> Iterator[tuple[str, object]]:
    """(where it stands, the entry) of a JSON list, else of each line that is not blank."""
    forms = "Write a JSON list of tables of genes, or one such table a line"
    if text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
        except ValueError as error:
            raise UserError(f"{shown}: is no JSON: {error}. {forms}") from error
        yield from ((f"entry {place}", entry) for place, entry in enumerate(listed, start=1))
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                entry = json.loads(line)
            except ValueError as error:
                raise UserError(f"{shown}: line {number} is no JSON: {error}. {forms}") from error
            yield f"line {number}", entry


def _legal(space: SearchSpace, entry: object, where: str) -> Architecture:
    if not isinstance(entry, Mapping):
        raise UserError(f'{where}: is no table of genes such as {{"width": 64}}. Correct or remove it')
    genes = entry["genes"] if entry.keys() == {"genes", "space"} else entry  # as `Architecture.json` has it
    if not isinstance(genes, Mapping):
        raise UserError(f"{where}: its genes are no table. Correct or remove it")
    try:
        return space.canonical(Architecture.of(space.name, genes).as_dict())
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{where}: {problem}. Correct or remove it") from error


def from_study(spec: StudySpec, space: SearchSpace, studies: PgStudies, *, known: Sequence[Architecture] = ()) -> Found:
    """The best of the study that `warm_start.study` names: its front, then rank by rank; nothing where it names none.

    Of a rank that does not fit as a whole members are taken evenly along the first objective.

    Args:
        known: that are proposed anyway.

    Raises:
        UserError: there is no such study, nothing of it is finished, or nothing fits this space.
    """
    wanted = spec.warm_start
    if wanted is None or wanted.study is None:
        return Found()
    shown, name = f'warm_start.study = "{wanted.study}"', wanted.study
    history = _history(studies, shown, name)
    ranks = ranked(history)
    n_results = sum(len(rank) for rank in ranks)
    if not n_results:
        raise UserError(f"{shown}: has no finished feasible trial yet. Let it run first, or remove the key")
    taken, fits = dict.fromkeys(known), 0
    found: list[Architecture] = []
    for rank in ranks:
        members = [(number, _fitting(space, history.architectures[number])) for number in rank]
        legal = [each for _, each in members if each is not None]
        fits += len(legal)
        fresh = [each for each in dict.fromkeys(legal) if each not in taken]
        found += spread(fresh, wanted.most - len(found))
        taken |= dict.fromkeys(fresh)
    if not fits:
        raise UserError(f"{shown}: none of its {_count(n_results)} fits this study's space. Remove the key")
    left = n_results - fits
    rest = f"; {left} of its {n_results} {'does' if left == 1 else 'do'} not fit this space" if left else ""
    return Found(tuple(found), (f"warm start: {_count(len(found))} from study {name}{rest}",))


def _history(studies: PgStudies, shown: str, name: str) -> History:
    study = studies.find(name)
    if study is None:
        known = ", ".join(studies.names()) or "none yet"
        raise UserError(f"{shown}: there is no such study in this database; known: {known}. Name one of them")
    store = PgTrialStore(studies.url, purpose="warm start")
    try:
        trials, facts = store.history(study.id)
    finally:
        store.close()
    history = History(history_objectives(study.spec))
    for trial in trials:
        history.add(trial.proposal)
    for fact in facts:
        history.learn(fact)
    return history


def _fitting(space: SearchSpace, architecture: Architecture) -> Architecture | None:
    """The same genes in `space`; None where they are not legal there."""
    try:
        return space.canonical(architecture.as_dict())
    except (KeyError, TypeError, ValueError):
        return None


def _count(n: int) -> str:
    return f"{n} architecture{'' if n == 1 else 's'}"
