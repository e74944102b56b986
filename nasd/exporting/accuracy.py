"""What fewer bits cost: the study's validation, with the converted file in its runtime and with the trained module."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import assert_never

import numpy as np
import torch
from torch import Tensor, nn

from nasd.data import SearchSplit
from nasd.domain.data import Task
from nasd.errors import CandidateFault, UserError
from nasd.exporting.formats import Written
from nasd.exporting.trained import Trained, n_threads, request_for
from nasd.exporting.trial import TrialRecord
from nasd.nets.runtime import threads
from nasd.training.criterion import Criterion
from nasd.training.metric import Metric
from nasd.training.tensors import Tensors
from nasd.training.validation import Validation, Validator

_ANSWERS: Mapping[Task, str] = {
    Task.CLASSIFICATION: "samples",
    Task.LM: "next tokens",
    Task.MULTILABEL: "labels",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Both on all of the validation split, on the processor.

    Attributes:
        method: how the file was converted, where there is more than one way.
        trained: of the trained module in float32.
        converted: of the file.
        same_answers: the share of answers that are the same ones; None for regression, whose answers are numbers.
        of: what those answers are: samples, next tokens or labels.
    """

    method: str
    trained: Validation
    converted: Validation
    same_answers: float | None
    of: str = ""

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "method": self.method or None,
            "n": self.trained.n,
            "trained": _scores(self.trained),
            "converted": _scores(self.converted),
            "same_answers": self.same_answers,
            "answers": self.of or None,
        }

    @property
    def pairs(self) -> list[tuple[str, float, float]]:
        """(name, value of the trained module, of the file); without what the user's metric named only once."""
        after = self.converted.values
        return [(name, value, after[name]) for name, value in self.trained.values.items() if name in after]

    @property
    def agreement(self) -> str:
        """In half a sentence; empty for regression."""
        return "" if self.same_answers is None else f"the same answer for {self.same_answers:.2%} of {self.of}"

    def __str__(self) -> str:
        scores = [f"{name} {after:.6g} (trained {before:.6g})" for name, before, after in self.pairs]
        said = [*scores, *([self.agreement] if self.agreement else [])]
        return (f"{self.method}: " if self.method else "") + ", ".join(said)


def accuracy(
    trial: TrialRecord, trained: Trained, written: Written, split: SearchSplit, *, allow: Collection[str] | None
) -> Accuracy:
    """Of a file just converted.

    Raises:
        UserError: its loss is not finite, or the user's metric fails on its answers.
    """
    request = request_for(trial, split, allow=allow)
    recipe, problem = request.recipe, request.problem
    tensors = Tensors.on(torch.device("cpu"), split, problem, batch=recipe.batch, channels_last=False)
    criterion = Criterion.of(problem, recipe, tensors)
    metric = None
    if recipe.metric is not None and request.metric is not None:
        metric = Metric(recipe.metric.rpartition(":")[2], request.metric)
    before, after = Heard(trained.module, problem.task), Heard(FileModule(written), problem.task)
    try:
        with threads(n_threads(trial)):
            validations = [
                Validator(each, tensors, criterion, metric)(micro_batch=tensors.batch) for each in (before, after)
            ]
    except CandidateFault as fault:
        raise UserError(f"{trial.shown}: {written.path.name} can't be validated: {fault}") from fault
    if not isfinite(validations[1].loss):
        raise UserError(
            f"{written.path.name}: val_loss is {validations[1].loss} after conversion; it was not kept. "
            "--precision fp32 keeps the network's numbers"
        )
    return Accuracy(
        method=written.method,
        trained=validations[0],
        converted=validations[1],
        same_answers=before.share_alike(after, n=validations[0].n),
        of=_ANSWERS.get(problem.task, ""),
    )


class FileModule(nn.Module):
    """A written file as a module, for any number of samples: a fixed batch is filled up with the last one."""

    def __init__(self, written: Written) -> None:
        super().__init__()
        self._batch, self._read_back = written.batch, written.read_back

    def forward(self, x: Tensor) -> Tensor:
        """(b, *input_shape) -> (b, *output_shape)."""
        rows = np.ascontiguousarray(x.numpy())
        missing = -len(rows) % (self._batch or 1)
        filled = np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
        return torch.from_numpy(self._read_back(filled)[: len(rows)])


class Heard(nn.Module):
    """A module whose answers are remembered, and not its outputs: those of a language model are too many."""

    def __init__(self, module: nn.Module, task: Task) -> None:
        super().__init__()
        self._module, self._answer, self._answers = module, _answer_of(task), list[Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        """As the module does."""
        outputs: Tensor = self._module(x)
        if self._answer is not None:
            self._answers.append(self._answer(outputs))
        return outputs

    def share_alike(self, other: Heard, *, n: int) -> float | None:
        """Of the last `n` samples' answers: a validation begins again where its blocks were too large."""
        if self._answer is None:
            return None
        one, two = (torch.cat(each._answers)[-n:] for each in (self, other))
        return float((one == two).double().mean())


def _answer_of(task: Task) -> Callable[[Tensor], Tensor] | None:
    """What makes answers of outputs; None where the outputs are the answers."""
    match task:
        case Task.CLASSIFICATION | Task.LM:
            return lambda outputs: outputs.argmax(dim=-1)
        case Task.MULTILABEL:
            return lambda outputs: outputs > 0
        case Task.REGRESSION:
            return None
        case _:
            assert_never(task)


def _scores(found: Validation) -> dict[str, dict[str, float | None]]:
    return {name: {"value": value, "spread": spread_of(found, name)} for name, value in found.values.items()}


def spread_of(found: Validation, name: str) -> float | None:
    """The standard error over samples; None for the user's own metrics."""
    deviations = {"val_error": found.error_deviation, "val_loss": found.loss_deviation}
    return deviations[name] / found.n**0.5 if name in deviations else None
