"""Watching the training loss: is it finite, where does it end? Reads it seldom where reading stalls the device."""

import math
from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from nasd.errors import CandidateFault

# Times the loss of knowing nothing. A training that ends above this has left the data behind.
DIVERGED_AT = 10.0


class LossWatch:
    """Keeps the losses of the last `keep` steps and looks at them `every` so many.

    `trivial_loss` is that of knowing nothing.
    """

    def __init__(self, *, trivial_loss: float, keep: int, every: int) -> None:
        self._limit = DIVERGED_AT * trivial_loss
        self._last: deque[float] = deque(maxlen=keep)
        self._unread: list[Tensor] = []
        self._every, self._n_steps = every, 0

    def add(self, loss: Tensor) -> None:
        """Take in the next step's loss.

        Raises:
            CandidateFault: `diverged`, a loss read now is not finite.
        """
        self._n_steps += 1
        self._unread.append(loss)
        if len(self._unread) >= self._every:
            self._read()

    def close(self) -> tuple[float, ...]:
        """The last losses, newest last.

        Raises:
            CandidateFault: `diverged`, a loss is not finite or their mean ends above the limit.
        """
        self._read()
        mean = math.fsum(self._last) / len(self._last)
        if mean > self._limit:
            raise CandidateFault(
                "diverged",
                f"the training loss ended at {mean:.3g} after {self._n_steps} steps; the limit is {self._limit:.3g}",
            )
        return tuple(self._last)

    def state(self) -> list[float]:
        """The losses kept so far, newest last, for `restore`.

        Raises:
            CandidateFault: `diverged`, a loss read now is not finite.
        """
        self._read()
        return list(self._last)

    def restore(self, losses: Sequence[float], *, n_steps: int) -> None:
        """Go on after `n_steps` steps that ended with `losses`."""
        self._last.extend(losses)
        self._n_steps = n_steps

    def _read(self) -> None:
        if not self._unread:
            return
        # the whole list in one transfer: on a GPU every read waits for the kernels before it
        values = [self._unread[0].item()] if len(self._unread) == 1 else torch.stack(self._unread).tolist()
        first = self._n_steps - len(values)
        self._unread.clear()
        for i, value in enumerate(values):
            if not math.isfinite(value):
                raise CandidateFault("diverged", f"the training loss became {value} at step {first + i}")
            self._last.append(value)
