"""What is known of a data set without loading it, and what it asks of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

INIT = "model.init"  # in `DataFacts.sha256`
_FIRST_NAMES = {"n_classes": "n_outputs", "majority_error": "trivial_error"}


class Task(StrEnum):
    """What is learned from the data."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    MULTILABEL = "multilabel"
    LM = "lm"  # the next token of a text


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a network is asked for: the shapes at both its ends.

    Attributes:
        input_shape: of one sample: (features,), (channels, length), (channels, height, width), or (context,) tokens.
        n_outputs: classes, labels or regressed numbers; the vocabulary for `lm`, where there is a row of them for
            every token: (b, context, n_outputs).
        vocabulary: how many different tokens an input may hold; 0 where inputs are numbers.
    """

    input_shape: tuple[int, ...]
    n_outputs: int
    task: Task = Task.CLASSIFICATION
    vocabulary: int = 0

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of one sample's output."""
        return (*self.input_shape, self.n_outputs) if self.task is Task.LM else (self.n_outputs,)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """Stored with the study when it is created; a worker whose data hash differently is refused.

    Attributes:
        input_shape: of one sample, as in `Problem`.
        n_outputs: as in `Problem`.
        classes: what the class numbers stand for, where the data did not have 0 to k - 1 themselves.
        trivial_error: the validation error of the best constant answer: the worst useful `val_error`.
        sha256: by split name (`train`, `validation`, `test`), over the bytes of inputs and targets in order; also of
            the file that weights begin with (INIT), where the study has one.
    """

    name: str
    seed: int
    task: Task = Task.CLASSIFICATION
    input_shape: tuple[int, ...]
    n_outputs: int
    vocabulary: int = 0
    classes: tuple[str, ...] = ()
    n_train: int
    n_validation: int
    n_test: int
    trivial_error: float
    sha256: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DataFacts:
        """Read a stored one; `dataclasses.asdict` is the inverse."""
        if "n_classes" in value:  # as the first version wrote them, when every task was a classification
            value = {_FIRST_NAMES.get(name, name): each for name, each in value.items()}
            value["task"] = Task.CLASSIFICATION
        tuples = {name: tuple(value[name]) for name in ("input_shape", "classes") if name in value}
        return cls(**{**value, "task": Task(value["task"]), **tuples})

    @property
    def problem(self) -> Problem:
        """What the data ask of a network."""
        return Problem(
            input_shape=self.input_shape, n_outputs=self.n_outputs, task=self.task, vocabulary=self.vocabulary
        )
