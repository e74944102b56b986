"""The user's own evaluation, called in this process as a worker would call it: for simulated studies."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping

import numpy as np

from nasd.app.prepared import Prepared
from nasd.domain.architecture import Architecture
from nasd.domain.ids import TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.measurement import OutcomeKind, Stage
from nasd.domain.seeding import evaluation_seed
from nasd.domain.study import StudySpec
from nasd.errors import UserError
from nasd.simulator.evaluator import Outcome
from nasd.simulator.studies import STUDY
from nasd.simulator.tables import DEFAULT_S
from nasd.usercode import packages_of
from workers.assignment import Assignment
from workers.hooks import Hooks
from workers.stages.run import evaluate
from workers.verdict import of_exception

DURATION = "duration_s"  # of what an evaluation returns


class FunctionEvaluator:
    """Calls `[evaluation] run` as a worker does, in this process; what it prints is dropped."""

    def __init__(self, prepared: Prepared, *, known: dict[tuple[int, str], Outcome]) -> None:
        """Of one seed.

        Args:
            known: outcomes so far by (seed, key): one architecture is evaluated once for all strategies.
        """
        self._prepared, self._known = prepared, known
        self.says_durations = False
        self.problems: list[str] = []

    def evaluate(self, architecture: Architecture, rng: np.random.Generator) -> Outcome:  # noqa: ARG002 - seeded below
        """See `nasd.simulator.Evaluator`; the seed is the one that a worker would give."""
        place = (self._prepared.spec.seed, architecture.key)
        if place not in self._known:
            self._known[place] = self._called(architecture)
        outcome = self._known[place]
        self.says_durations |= DURATION in outcome.values
        return outcome

    def _called(self, architecture: Architecture) -> Outcome:
        spec = self._prepared.spec
        assignment = Assignment(
            study_id=STUDY,
            study_name=spec.name,
            trial_number=TrialNumber(0),
            stage=Stage.RUN,
            device_kind=spec.device_kinds()[0],
            replicate=0,
            seed=evaluation_seed(spec.seed, architecture.key, 0),
            fidelity=spec.train.steps,
            architecture=architecture,
        )
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                measured = evaluate(assignment, spec, self._prepared.facts, _Alone(frozenset(packages_of(spec))))
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - the seam to users' code, classed as a worker would
            verdict = of_exception(error, runs_users_code=True)
            self.problems.append(verdict.message)
            state = State.INFEASIBLE if verdict.kind is OutcomeKind.INFEASIBLE else State.FAILED
            return Outcome({}, DEFAULT_S, state)
        values = {one.name: one.value for one in measured}
        return Outcome(values, _duration(values, spec))


def _duration(values: Mapping[str, float], spec: StudySpec) -> float:
    seconds = values.get(DURATION, DEFAULT_S)
    if seconds <= 0:
        run = spec.evaluation.run if spec.evaluation else ""
        raise UserError(f'evaluation.run = "{run}": returned {DURATION} = {seconds:g}. Return seconds above 0')
    return seconds


class _Alone(Hooks):
    """Nobody gives orders, nobody measures beside it, and there are no other attempts."""

    def __init__(self, allow: frozenset[str]) -> None:  # without a page and a lock shared with a worker
        self.allow, self.scratch = allow, None
        self.partial: dict[str, float] = {}

    def at_own_step(self, step: int) -> bool:  # noqa: ARG002 - the signature is Hooks'
        return False
