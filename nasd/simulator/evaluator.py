"""What the simulator asks about an architecture: its values and how long finding them takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.lifecycle import State


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluation comes to.

    Attributes:
        values: by the names that the study's objectives and limits have; exact counts may be left out.
        duration_s: of a worker at speed 1.
        state: COMPLETED, PRUNED, INFEASIBLE (the candidate's fault) or FAILED (the world's).
    """

    values: Mapping[str, float]
    duration_s: float
    state: State = State.COMPLETED


class Evaluator(Protocol):
    """Stands in for training and measuring. Called once a trial; its attempts have one outcome."""

    def evaluate(self, architecture: Architecture, rng: np.random.Generator) -> Outcome:
        """The outcome.

        Args:
            rng: keyed by the study's seed and the trial's number; what is random must come from it.
        """
        ...
