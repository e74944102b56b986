"""One split out of a folder of the cache, shaped as a study's facts say."""

from __future__ import annotations

from pathlib import Path

from nasd.data import cache
from nasd.data.raw import TRAIN, VALIDATION
from nasd.data.split import Inputs, Targets, windows
from nasd.domain.data import DataFacts, Task


def read_part(area: Path, facts: DataFacts, part: str) -> tuple[Inputs, Targets] | None:
    """Inputs and targets as in `SearchSplit`; None where they are not in `area`, or not as they were written.

    Args:
        area: the folder of the splits that the caller may read.
        facts: of all splits.
        part: train, validation or test.
    """
    name = facts.sha256.get(part, "none")
    if facts.task is Task.LM:
        context = facts.input_shape[0]
        tokens = cache.read_tokens(area, name)
        if tokens is None or len(tokens) <= context:
            return None
        return windows(tokens, context, every=1 if part == TRAIN else context)
    n = {TRAIN: facts.n_train, VALIDATION: facts.n_validation}.get(part, facts.n_test)
    n_outputs = None if facts.task is Task.CLASSIFICATION else facts.n_outputs
    return cache.read_rows(area, name, shape=(n, *facts.input_shape), n_outputs=n_outputs)
