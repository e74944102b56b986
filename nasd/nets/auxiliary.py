"""What a module may add to the loss: the one hook between nets and the training loop."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class HasAuxiliaryLoss(Protocol):
    """A module with a loss of its own, such as the one that keeps a mixture's experts evenly loaded.

    `isinstance(module, HasAuxiliaryLoss)` asks whether a module has one; most have not.
    """

    def auxiliary_loss(self) -> Tensor:
        """A scalar to add to the task's loss: already weighted, with its graph, of the last forward pass.

        Valid after a forward pass in training mode and before the next one; a batch that is split into parts is asked
        after each part.
        """
        ...
