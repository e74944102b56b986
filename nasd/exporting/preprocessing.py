"""What stands before and behind an exported network: how its input is made from the data, and what its output means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasd.data import SearchSplit
from nasd.domain.data import DataFacts, Task
from nasd.training.tensors import moments

INPUT, OUTPUT = "input", "output"
_RAW: Mapping[str, str] = {  # what nasd itself does to data before any network sees them
    "digits": "Grey values from 0 to 16 are divided by 16 first",
    "mnist1d": "Signals are taken as the package mnist1d makes them",
    "text": "A text's bytes are its tokens",
}
_RAW_OWN = "Bytes (uint8) are divided by 255 first, other numbers are taken as they are"
_RAW_TOKENS = "Tokens are taken as they are; those of a text are its bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """Of an exported network, in numbers.

    Attributes:
        input_shape: of a batch; None is its size.
        dtype: of the input, as numpy names it.
        mean: subtracted from every number of the input, which is then divided by `deviation`; None: inputs are tokens.
        target_mean: added to the output after it was multiplied by `target_deviation`, by output; for regression alone.
        classes: what the output's positions stand for, where they are not simply numbered.
        raw: what was done to the data before that, in a sentence.
    """

    input_shape: tuple[int | None, ...]
    output_shape: tuple[int | None, ...]
    dtype: str
    task: Task
    mean: float | None = None
    deviation: float | None = None
    target_mean: tuple[float, ...] = ()
    target_deviation: tuple[float, ...] = ()
    vocabulary: int = 0
    classes: tuple[str, ...] = ()
    raw: str = ""

    @classmethod
    def of(cls, split: SearchSplit, facts: DataFacts, *, use: str | None = None) -> Interface:
        """As training has it: moments of the training split alone. `use`: the data set's name where it is built in."""
        problem = facts.problem
        mean = deviation = None
        if not problem.vocabulary:
            mean, deviation = (float(each) for each in moments(split.train_x))
        targets = moments(split.train_y, axis=0) if problem.task is Task.REGRESSION else ((), ())
        return cls(
            input_shape=(None, *problem.input_shape),
            output_shape=(None, *problem.output_shape),
            dtype="int64" if problem.vocabulary else "float32",
            task=problem.task,
            mean=mean,
            deviation=deviation,
            target_mean=tuple(float(each) for each in targets[0]),
            target_deviation=tuple(float(each) for each in targets[1]),
            vocabulary=problem.vocabulary,
            classes=facts.classes,
            raw=_RAW.get(use or "", _RAW_TOKENS if problem.vocabulary else _RAW_OWN),
        )

    def prepared(self, x: NDArray[np.float32 | np.int64]) -> NDArray[np.float32 | np.int64]:
        """Samples as the data have them -> the network's input, exactly as in training."""
        if self.mean is None or self.deviation is None:
            return np.array(x, dtype=np.int64)  # a copy: those are read-only
        standard: NDArray[np.float32] = ((x.astype(np.float64) - self.mean) / self.deviation).astype(np.float32)
        return standard

    def to_json(self) -> dict[str, object]:
        """For programs that use the exported file."""
        before = {"raw": self.raw, "mean": self.mean, "deviation": self.deviation}
        after = None
        if self.target_mean:
            after = {"mean": list(self.target_mean), "deviation": list(self.target_deviation)}
        return {
            "task": str(self.task),
            "input": {"name": INPUT, "shape": list(self.input_shape), "dtype": self.dtype},
            "output": {"name": OUTPUT, "shape": list(self.output_shape), "dtype": "float32", "is": self.meaning},
            "preprocessing": before,
            "postprocessing": after,
            "vocabulary": self.vocabulary,
            "classes": list(self.classes),
        }

    @property
    def before(self) -> str:
        """What to do to a sample first, in a sentence."""
        if self.mean is None:
            return f"{self.raw}: int64 numbers from 0 to {self.vocabulary - 1}"
        return (
            f"{self.raw}; then every number x becomes (x - {self.mean!r}) / {self.deviation!r}, "
            "the moments of the training split"
        )

    @property
    def meaning(self) -> str:
        """What the output is."""
        match self.task:
            case Task.CLASSIFICATION:
                return "logits of the classes; softmax gives probabilities, argmax the answer"
            case Task.MULTILABEL:
                return "a logit for each label; above 0 the label is there, sigmoid gives its probability"
            case Task.REGRESSION:
                return "numbers in deviations of the training targets: y = output * deviation + mean, by output"
            case Task.LM:
                return "logits of the next token after each position"
