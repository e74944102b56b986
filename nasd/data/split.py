"""What a search may see of a data set: two splits as read-only arrays, and windows over a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nasd.domain.data import Task

Inputs = NDArray[np.float32 | np.int64]
Targets = NDArray[np.float32 | np.int64]
Tokens = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSplit:
    """Train and validation; read-only, mapped from the machine's cache, so that its processes share the memory.

    | task | x | y |
    | --- | --- | --- |
    | classification | (n, *input_shape) float32 | (n,) int64 class numbers |
    | regression | (n, *input_shape) float32 | (n, n_outputs) float32 |
    | multilabel | (n, *input_shape) float32 | (n, n_outputs) float32 zeros and ones |
    | lm | (n, context) int64 | (n, context) int64: each token's successor |

    Windows of a text are views over one array of tokens: training windows begin at every token, validation windows
    where the last one ended. Indexing with rows copies those rows; copying a whole view multiplies it by `context`.

    Attributes:
        vocabulary: as in `Problem`.
        sha256: of `train` and `validation`, as in `DataFacts`.
    """

    name: str
    task: Task = Task.CLASSIFICATION
    n_outputs: int
    vocabulary: int = 0
    train_x: Inputs
    train_y: Targets
    validation_x: Inputs
    validation_y: Targets
    sha256: Mapping[str, str]


def windows(tokens: Tokens, context: int, *, every: int) -> tuple[Tokens, Tokens]:
    """(n, context) tokens and their successors, beginning at every `every`-th token; views, read-only.

    Args:
        tokens: more than `context` of them.
    """
    x, y = (sliding_window_view(part, context)[::every] for part in (tokens[:-1], tokens[1:]))
    return x, y
