"""What is known of a data set without loading it: shapes, class counts, and the hash of each split."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """Stored with the study when it is created; a worker whose data hash differently is refused.

    Attributes:
        input_shape: of one sample, e.g. (64,).
        majority_error: the error of always answering the commonest class: the worst useful `val_error`.
        sha256: by split name (`train`, `validation`, `test`), over the bytes of inputs and targets in order.
    """

    name: str
    seed: int
    input_shape: tuple[int, ...]
    n_classes: int
    n_train: int
    n_validation: int
    n_test: int
    majority_error: float
    sha256: Mapping[str, str] = field(default_factory=dict)
