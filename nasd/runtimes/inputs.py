"""Random inputs for networks of any kind, as numpy arrays: for workers without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasd.domain.data import Problem


def random_inputs(problem: Problem, n: int, *, seed: int) -> NDArray[np.float32] | NDArray[np.int64]:
    """(n, *input_shape) standard normal numbers, or token numbers where the problem has a vocabulary."""
    rng = np.random.default_rng(seed)
    shape = (n, *problem.input_shape)
    if problem.vocabulary:
        return rng.integers(problem.vocabulary, size=shape, dtype=np.int64)
    return rng.standard_normal(shape, dtype=np.float32)
