"""Data sets by name, file or function, what is known of them, and the two splits a search may see. No torch.

A process that searches reads train and validation splits from the machine's cache (`nasd.data.cache`) and nothing else;
where they are missing, another process puts them there (`nasd.data.preparing`). Test splits are files of their own,
opened by `nasd.data.final` alone, which nothing that searches may import (an import contract keeps it).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from nasd.data import cache
from nasd.data.preparing import prepared
from nasd.data.raw import TRAIN, VALIDATION
from nasd.data.reading import read_part
from nasd.data.request import Request
from nasd.data.split import SearchSplit
from nasd.domain.data import DataFacts, Task
from nasd.domain.study import DataSpec
from nasd.errors import FunctionError, UserError, WorldFault

__all__ = ["SearchSplit", "describe", "search_split"]

T = TypeVar("T")


def describe(spec: DataSpec, task: Task = Task.CLASSIFICATION, *, allow: Collection[str] | None = None) -> DataFacts:
    """Shapes, class counts and hashes of all three splits.

    The user's own data are read each time, by a process that prepares them; a built-in set's facts are remembered. The
    test split is hashed when it is prepared and never read here.

    Args:
        spec: relative paths are relative to this process's current folder.
        task: what the targets must be fit for.
        allow: packages that `data.load` may come from; None: any.

    Raises:
        UserError: no data set has that name, or the data can't be used for the task.
        FunctionError: `data.load` can't be imported, or may not be.
        Unavailable: a package, the cache's folder, memory or disk is missing.
    """
    request = Request(spec, task, cache.folder())
    if spec.use is not None:
        known = cache.read_facts(request.folder, request.key(request.built_in_source()))
        if known is not None:
            return known
    return prepared(request, allow=allow)


def search_split(
    spec: DataSpec,
    facts: DataFacts | None = None,
    *,
    task: Task = Task.CLASSIFICATION,
    allow: Collection[str] | None = None,
) -> SearchSplit:
    """Train and validation, as read-only arrays shared by the machine's processes.

    Args:
        spec: as for `describe`.
        facts: what the study recorded. With them the data are not read again where the cache has them.
        task: where there are no `facts`.
        allow: as for `describe`.

    Raises:
        WorldFault: `data_mismatch`, this machine's data is not what `facts` recorded; `data_unavailable`, it has none.
        UserError: without `facts`, as `describe`.
        FunctionError: `data.load` can't be imported, or may not be.
    """
    if facts is None:
        facts = describe(spec, task, allow=allow)
    return read_or_prepared(lambda: _open(cache.folder(), facts), spec, facts, allow=allow, parts=(TRAIN, VALIDATION))


def read_or_prepared(
    read: Callable[[], T | None],
    spec: DataSpec,
    facts: DataFacts,
    *,
    allow: Collection[str] | None,
    parts: tuple[str, ...],
) -> T:
    """What `read` finds of `parts` in the cache; where it finds nothing (None), the data are prepared first.

    Raises:
        WorldFault: as `search_split`.
        FunctionError: as `search_split`.
    """
    found = read()
    if found is None:
        _prepare_again(spec, facts, allow=allow, parts=parts)
        found = read()
    if found is None:
        raise WorldFault("data_unavailable", f"{spec.name}: {cache.folder()} does not keep what is written there")
    return found


def _prepare_again(spec: DataSpec, facts: DataFacts, *, allow: Collection[str] | None, parts: tuple[str, ...]) -> None:
    """Have a study's data prepared on this machine, and refuse others than it recorded.

    Raises:
        WorldFault: as `search_split`.
        FunctionError: as `search_split`.
    """
    try:
        found = prepared(Request(spec, facts.task, cache.folder()), allow=allow)
    except FunctionError:
        raise
    except UserError as error:
        raise WorldFault("data_unavailable", str(error)) from error
    for part in parts:
        here, recorded = found.sha256[part], facts.sha256.get(part, "nothing")
        if here != recorded:
            raise WorldFault(
                "data_mismatch",
                f"{spec.name}: the {part} split hashes to {here[:12]} here, the study recorded {recorded[:12]}; "
                "give this machine the data, and the package versions, that the study was made with",
            )


class _Missing(Exception):
    """A split is not in the cache, or not as it was written; raised because that must not be remembered."""


def _open(folder: Path, facts: DataFacts) -> SearchSplit | None:
    names = [facts.sha256.get(part, "none") for part in (TRAIN, VALIDATION)]
    versions = cache.versions(folder / cache.Area.SEARCH, names)
    try:
        return _opened(folder, json.dumps(asdict(facts)), versions)
    except _Missing:
        return None


@functools.lru_cache(maxsize=8)
def _opened(folder: Path, recorded: str, versions: str) -> SearchSplit:  # noqa: ARG001 - they are part of the key
    """Both splits out of the cache, hashed once a process, or again where a user's own file was written again.

    Args:
        folder: the cache's.
        recorded: a study's facts as JSON, since only text can be remembered by.
        versions: see `cache.versions`.

    Raises:
        _Missing: at least one must be prepared.
    """
    facts = DataFacts.from_json(json.loads(recorded))
    train, validation = (read_part(folder / cache.Area.SEARCH, facts, part) for part in (TRAIN, VALIDATION))
    if train is None or validation is None:
        raise _Missing
    return SearchSplit(
        name=facts.name,
        task=facts.task,
        n_outputs=facts.n_outputs,
        vocabulary=facts.vocabulary,
        train_x=train[0],
        train_y=train[1],
        validation_x=validation[0],
        validation_y=validation[1],
        sha256={part: facts.sha256[part] for part in (TRAIN, VALIDATION)},
    )
