"""A proposal as the trial that is stored: its exact counts, its seed, its evaluations."""

from __future__ import annotations

from collections.abc import Collection

from nasd.controller.admission import stage_kinds
from nasd.controller.mind import BASELINE, StudyMind
from nasd.controller.objectives import total_violation
from nasd.controller.stages import evaluations
from nasd.domain.history import Proposal
from nasd.domain.ids import DeviceKind
from nasd.domain.measurement import Stage
from nasd.domain.seeding import evaluation_seed
from nasd.ports.trials import NewTrial


def new_trial(mind: StudyMind, proposal: Proposal, *, absent: Collection[DeviceKind] = ()) -> NewTrial:
    """The trial to store; without evaluations where what is known ahead breaks a limit already.

    Args:
        absent: device kinds that it does not wait for.

    Raises:
        UserError: the user's costs can't be had.
    """
    spec, strategy, architecture = mind.spec, mind.parts.strategy, proposal.architecture
    counts = mind.parts.space.counts(architecture) if spec.is_counted_ahead else {}
    known = {**counts, **mind.parts.declared(architecture)}
    overshoot = total_violation(spec, known, mind.kinds.founding)
    is_baseline = proposal.operator == BASELINE
    queued = evaluations(spec, architecture, is_baseline=is_baseline, absent=absent, memory=mind.parts.memory)
    is_trained = any(stage in (Stage.TRAIN, Stage.RUN) for stage, _ in stage_kinds(spec))
    return NewTrial(
        number=mind.next_number,
        proposal=proposal,
        proposed_from=mind.history.learned_seq,
        strategy=strategy.name,
        strategy_version=strategy.version,
        fidelity=spec.train.steps if is_trained else 0,
        seed=evaluation_seed(spec.seed, architecture.key, 0),
        counts=known,
        units={name: spec.unit_of(name) for name in known},
        evaluations=queued if overshoot <= 0 else (),
        violation=overshoot,
    )
