"""Data sets by name, what is known of them, and the two splits a search may see. No torch, no test split.

The test split is `nasd.data.final`'s, which nothing that searches may import (an import contract keeps it).
"""

import numpy as np

from nasd.data.partition import SearchSplit, load, sha256
from nasd.domain.data import DataFacts
from nasd.domain.study import DataSpec
from nasd.errors import WorldFault

__all__ = ["SearchSplit", "describe", "search_split"]


def describe(spec: DataSpec) -> DataFacts:
    """Shapes, class counts and hashes of all three splits.

    Raises:
        UserError: no data set has that name.
        Unavailable: the package that holds it is not installed.
    """
    parts = load(spec)
    majority = int(np.bincount(parts.search.train_y).argmax())
    return DataFacts(
        name=spec.use,
        seed=spec.seed,
        input_shape=tuple(parts.search.train_x.shape[1:]),
        n_classes=parts.search.n_classes,
        n_train=len(parts.search.train_y),
        n_validation=len(parts.search.validation_y),
        n_test=len(parts.test_y),
        majority_error=float(np.mean(parts.search.validation_y != majority)),
        sha256={**parts.search.sha256, "test": sha256(parts.test_x, parts.test_y)},
    )


def search_split(spec: DataSpec, facts: DataFacts | None = None) -> SearchSplit:
    """Train and validation, as read-only arrays shared by the process.

    Raises:
        UserError: no data set has that name.
        WorldFault: `data_mismatch`, this machine's data is not what `facts` recorded.
    """
    split = load(spec).search
    for name, found in split.sha256.items():
        if facts is not None and facts.sha256.get(name) != found:
            raise WorldFault(
                "data_mismatch",
                f"{spec.use}: the {name} split hashes to {found[:12]} here, the study recorded "
                f"{facts.sha256.get(name, 'none')[:12]}; install the scikit-learn version that the study was made with",
            )
    return split
