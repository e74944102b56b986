"""Progress: everything in a training that changes from step to step, as one value that a checkpoint can hold."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nasd.training.augment import Augmentation
from nasd.training.checkpoint import State
from nasd.training.gradients import Gradients
from nasd.training.losses import LossWatch
from nasd.training.optimiser import Optimiser
from nasd.training.seeding import global_state, restore_global_state

logger = logging.getLogger(__name__)


class Stopwatch:
    """Seconds, without those between `pause` and `go_on`."""

    def __init__(self) -> None:
        self.before_s = 0.0
        self._since: float | None = time.perf_counter()

    @property
    def seconds(self) -> float:
        return self.before_s + (0.0 if self._since is None else time.perf_counter() - self._since)

    def pause(self) -> None:
        self.before_s, self._since = self.seconds, None

    def go_on(self) -> None:
        self._since = time.perf_counter()


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a training is after `step` steps.

    Attributes:
        curve: values by name of the validations so far, by step.
        resumed_at: the steps at which it went on from a checkpoint.
    """

    module: nn.Module
    optimiser: Optimiser
    gradients: Gradients
    watch: LossWatch
    augmentation: Augmentation | None
    device: torch.device
    step: int = 0
    curve: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    resumed_at: list[int] = field(default_factory=list)
    clock: Stopwatch = field(default_factory=Stopwatch)

    def state(self) -> State:
        """Between two steps. The order of samples is not in it: that depends on the seed and the step alone.

        Raises:
            CandidateFault: `diverged`, a loss read now is not finite.
        """
        return {
            "step": self.step,
            "losses": self.watch.state(),
            "module": dict(self.module.state_dict()),
            "optimiser": self.optimiser.state(),
            "n_parts": self.gradients.n_parts,
            "global_generators": global_state(self.device),
            "augmentation": None if self.augmentation is None else self.augmentation.generator.get_state(),
            "curve": [[step, values] for step, values in self.curve],
            "resumed_at": self.resumed_at,
            "seconds": self.clock.seconds,
        }

    def restore(self, state: State) -> None:
        """Become what `state` was taken of; stays as it is (with a log line) where that was another network."""
        if not _fits(self.module.state_dict(), state["module"]):
            logger.warning("checkpoint not used", extra={"fields": {"reason": "other weights than this network's"}})
            return
        self.step = state["step"]
        self.watch.restore(state["losses"], n_steps=self.step)
        self.module.load_state_dict(state["module"])
        self.optimiser.restore(state["optimiser"])
        self.gradients.n_parts = state["n_parts"]
        restore_global_state(state["global_generators"], self.device)
        if self.augmentation is not None:
            self.augmentation.generator.set_state(state["augmentation"])
        self.curve = [(step, values) for step, values in state["curve"]]
        self.resumed_at = [*state["resumed_at"], self.step]
        self.clock.before_s += state["seconds"]


def _fits(own: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    def shapes(state: Mapping[str, Any]) -> dict[str, object]:
        return {name: each.shape if isinstance(each, Tensor) else None for name, each in state.items()}

    return shapes(own) == shapes(stored)
