"""The test split, read once for the final front's members. Nothing that trains, measures or searches imports this."""

from __future__ import annotations

from collections.abc import Collection

from nasd.data import cache, read_or_prepared
from nasd.data.raw import TEST
from nasd.data.reading import read_part
from nasd.data.split import Inputs, Targets
from nasd.domain.data import DataFacts
from nasd.domain.study import DataSpec


def test_split(spec: DataSpec, facts: DataFacts, *, allow: Collection[str] | None = None) -> tuple[Inputs, Targets]:  # noqa: PT028 - no test
    """Inputs and targets that no search has seen, shaped as in `SearchSplit`; windows of a text do not overlap.

    Raises:
        WorldFault: `data_mismatch`, this machine's data is not what `facts` recorded; `data_unavailable`, it has none.
        FunctionError: `data.load` can't be imported, or may not be.
    """
    area = cache.folder() / cache.Area.TEST
    return read_or_prepared(lambda: read_part(area, facts, TEST), spec, facts, allow=allow, parts=(TEST,))


test_split.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it by its name
