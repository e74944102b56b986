"""What each task minimises and what it calls an error, from a network's outputs and the targets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional

from nasd.domain.data import Problem, Task
from nasd.domain.study import TrainSpec
from nasd.training.tensors import Batch, Tensors


@dataclass(frozen=True, slots=True)
class Criterion:
    """Loss and error of one task.

    | task           | loss                                              | error                               |
    | classification | cross-entropy, nats                               | share of wrong answers              |
    | lm             | cross-entropy, nats for a token                   | share of wrong next tokens          |
    | multilabel     | binary cross-entropy, nats for a label            | share of wrong labels               |
    | regression     | squared error, deviation of training targets = 1  | share of variance left unexplained  |

    The last is 1 - R^2 on the validation split, averaged over the outputs: 0 is perfect, 1 the mean of the targets, and
    more is worse than that.

    Attributes:
        variance: of the validation targets by output; for regression alone.
    """

    task: Task
    n_outputs: int
    label_smoothing: float = 0.0
    variance: Tensor | None = None

    @classmethod
    def of(cls, problem: Problem, recipe: TrainSpec, tensors: Tensors) -> Criterion:
        variance = None
        if problem.task is Task.REGRESSION:
            variance = tensors.validation_y.stored.double().var(dim=0, correction=0)
            variance = torch.where(variance > 0, variance, 1.0)  # nothing to explain: the training targets' own
        return cls(problem.task, problem.n_outputs, recipe.label_smoothing, variance)

    @property
    def trivial_loss(self) -> float:
        """Of knowing nothing: the same answer to every input, all classes alike."""
        if self.task in (Task.CLASSIFICATION, Task.LM):
            return math.log(max(self.n_outputs, 2))
        return math.log(2) if self.task is Task.MULTILABEL else 1.0

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean over the batch."""
        own = self._loss(outputs, batch.y)
        if batch.partner_y is None:
            return own
        return batch.share * own + (1 - batch.share) * self._loss(outputs, batch.partner_y)

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.task is Task.LM:
            outputs, targets = outputs.flatten(0, 1), targets.flatten()  # (b * context, vocabulary), (b * context,)
        if self.task in (Task.CLASSIFICATION, Task.LM):
            return functional.cross_entropy(outputs, targets, label_smoothing=self.label_smoothing)
        if self.task is Task.MULTILABEL:
            return functional.binary_cross_entropy_with_logits(outputs, targets)
        return functional.mse_loss(outputs, targets)

    def by_sample(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """(b,) losses without smoothing and (b,) errors, both float64."""
        match self.task:
            case Task.CLASSIFICATION:
                losses = functional.cross_entropy(outputs, targets, reduction="none")
                errors = outputs.argmax(dim=1) != targets
            case Task.LM:
                losses = functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none").double().mean(1)
                errors = (outputs.argmax(dim=2) != targets).double().mean(1)
            case Task.MULTILABEL:
                losses = functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(1)
                errors = ((outputs > 0) != (targets > 0.5)).double().mean(1)
            case Task.REGRESSION:
                assert self.variance is not None
                squares = (outputs - targets).double().square()  # (b, n_outputs)
                losses, errors = squares.mean(1), (squares / self.variance).mean(1)
            case _:
                assert_never(self.task)
        return losses.double(), errors.double()
