"""The data sets that come with nasd. All without network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nasd.data import raw
from nasd.data.raw import ALL, TEST, TRAIN, Raw, Table
from nasd.errors import Unavailable


def _digits() -> Raw:
    """1,797 handwritten digits of 8x8 pixels, (n, 1, 8, 8); grey values 0 to 16 become [0, 1]."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.submodule_search_locations
    file = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if file.exists():  # what `load_digits` reads; importing it takes 1.4 s and 70 MiB
        table = np.loadtxt(file, delimiter=",")
        x, y = table[:, :-1], table[:, -1]
    else:
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
    return Raw(parts={ALL: Table((x / 16.0).astype(np.float32).reshape(-1, 1, 8, 8), y.astype(np.int64))})


def _mnist1d() -> Raw:
    """5,000 one-dimensional digits of 40 values, (n, 1, 40), 1,000 of them for the test, as its authors cut them.

    They are generated from numpy's global generator, which the package seeds with 42 before; its stream is frozen.

    Source: Greydanus and Kobak 2024, Scaling Down Deep Learning with MNIST-1D.
    """
    from mnist1d.data import get_dataset_args, make_dataset

    made = make_dataset(get_dataset_args())
    return Raw(
        parts={
            TRAIN: Table(made["x"][:, None, :], made["y"]),
            TEST: Table(made["x_test"][:, None, :], made["y_test"]),
        }
    )


def _text() -> Raw:
    """The documentation of Python's own topics (`help("for")`): 0.5 MB of English and code that differ by version."""
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise Unavailable(
            'data.use = "text": this Python came without its documentation (pydoc_data). '
            'Give a text of your own: data.files = "FILE.txt"'
        ) from error
    content = "\n".join(topics.values()).encode()
    return Raw(parts={ALL: raw.text(content)}, vocabulary=256, shares=(0.05, 0.05))


LOADERS: Mapping[str, Callable[[], Raw]] = {"digits": _digits, "mnist1d": _mnist1d, "text": _text}
