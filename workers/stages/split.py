"""The study's data as a search may see them, on this worker. Imports no torch."""

from __future__ import annotations

from nasd.data import SearchSplit, search_split
from nasd.domain.data import DataFacts
from nasd.domain.study import StudySpec
from nasd.errors import NasdError, WorldFault
from workers.hooks import Hooks


def split_of(spec: StudySpec, facts: DataFacts | None, hooks: Hooks) -> SearchSplit:
    """What a search may see of the study's data.

    Raises:
        WorldFault: `data_load`, the user's function failed: the same for every architecture, so that none is blamed;
            or this machine's data are not what the study recorded.
        UserError: the data can't be had here.
    """
    try:
        return search_split(spec.data, facts, task=spec.train.task, allow=hooks.allow)
    except NasdError:
        raise
    except (Exception, SystemExit) as error:
        if spec.data.load is None:
            raise
        raise WorldFault(
            "data_load", f'data.load = "{spec.data.load}": raised {type(error).__name__}: {error}. Mend the function'
        ) from error
