"""The test split, read once for the final front's members. Nothing that trains, measures or searches imports this."""

from __future__ import annotations

from collections.abc import Collection

from nasd.data import cache, prepare_again
from nasd.data.raw import TEST
from nasd.data.reading import read_part
from nasd.data.split import Inputs, Targets
from nasd.domain.data import DataFacts
from nasd.domain.study import DataSpec
from nasd.errors import WorldFault


def test_split(spec: DataSpec, facts: DataFacts, *, allow: Collection[str] | None = None) -> tuple[Inputs, Targets]:  # noqa: PT028 - no test
    """Inputs and targets that no search has seen, shaped as in `SearchSplit`; windows of a text do not overlap.

    Raises:
        WorldFault: `data_mismatch`, this machine's data is not what `facts` recorded; `data_unavailable`, it has none.
        FunctionError: `data.load` can't be imported, or may not be.
    """
    found = _read(facts)
    if found is None:
        prepare_again(spec, facts, allow=allow, parts=(TEST,))
        found = _read(facts)
    if found is None:
        raise WorldFault("data_unavailable", f"{spec.name}: {cache.folder()} does not keep what is written there")
    return found


def _read(facts: DataFacts) -> tuple[Inputs, Targets] | None:
    return read_part(cache.folder() / cache.Area.TEST, facts, TEST)


test_split.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it by its name
