"""A planner's step as the parameters of the statements that store it."""

from __future__ import annotations

import json
from itertools import groupby
from operator import itemgetter

from nasd.domain.measurement import UNITS
from nasd.ports.trials import NewEvaluation, NewTrial, Step

Row = dict[str, object]


def step_rows(step: Step, *, max_attempts: int) -> list[tuple[str, list[Row]]]:
    """Statements of `sql/` with the rows that each takes one by one, in the order in which they must run."""
    study = {"study": step.study}
    facts: list[Row] = [
        study
        | {
            "seq": fact.seq,
            "kind": fact.kind,
            "trial_id": trial_id,
            "number": fact.trial,
            "state": str(fact.state),
            "values": json.dumps(dict(fact.values)),
            "violation": fact.violation,
        }
        for fact, trial_id in zip(step.facts, step.trial_ids, strict=True)
    ]
    rounds: list[Row] = [
        study | {"number": number, "max_attempts": max_attempts} | _evaluation(new) for number, new in step.new_rounds
    ]
    learned = [{name: fact[name] for name in ("seq", "trial_id", "values")} for fact in facts]
    many = [("insert_facts", facts), ("mark_learned", learned), ("insert_rounds", rounds), *_front_rows(step)]
    return [(name, rows) for name, rows in many if rows]


def study_row(step: Step, *, max_attempts: int) -> Row:
    """Parameters of the statements that are run once a step."""
    return {
        "study": step.study,
        "max_attempts": max_attempts,
        "trials": json.dumps([_trial(trial) for trial in step.trials]),
        "n_facts": len(step.facts),
        "n_trials": len(step.trials),
        "used_s": step.used_s,
        "reference": json.dumps(dict(step.reference)),
        "joined": json.dumps(dict(step.joined)),
        "granted": json.dumps({kind: str(which) for kind, which in step.granted.items()}),
        "strategy_version": step.strategy_version,
        "state": None if step.state is None else str(step.state[0]),
        "state_reason": None if step.state is None else step.state[1],
    }


def _front_rows(step: Step) -> list[tuple[str, list[Row]]]:
    """In learned order, since a trial may enter and leave within one step, or leave and come back."""
    moves: list[tuple[str, Row]] = []
    scores: list[Row] = []
    for change in step.front:
        which = {"study": step.study, "device_kind": change.device_kind, "seq": change.seq}
        moves += [("front_leave", which | {"number": number, "why": why}) for number, why in change.left.items()]
        moves += [("front_enter", which | {"number": number}) for number in change.entered]
        scores.append(which | {"value": change.hypervolume, "size": change.size})
    groups = [(name, [row for _, row in some]) for name, some in groupby(moves, key=itemgetter(0))]
    return [*groups, ("insert_hypervolume", scores)]


def _evaluation(new: NewEvaluation) -> Row:
    return {
        "stage": str(new.stage),
        "device_kind": new.device_kind,
        "priority": new.priority,
        "replicate": new.replicate,
        "round": new.round,
        "needs": list(new.needs),
        "needs_memory_mib": new.needs_memory_mib,
        "awaits": new.awaits,
        "is_required": new.is_required,
    }


def _trial(trial: NewTrial) -> Row:
    architecture = trial.proposal.architecture
    return {
        "number": trial.number,
        "architecture": {"space": architecture.space, "genes": architecture.as_dict()},
        "architecture_key": architecture.key,
        "fidelity": trial.fidelity,
        "seed": trial.seed,
        "operator": trial.proposal.operator,
        "parents": list(trial.proposal.parents),
        "notes": dict(trial.proposal.notes),
        "proposed_from": trial.proposed_from,
        "strategy": trial.strategy,
        "strategy_version": trial.strategy_version,
        "values": {
            name: {"value": value, "unit": trial.units.get(name, UNITS.get(name, "count")), "spread": None, "n": 1}
            for name, value in trial.counts.items()
        },
        "violation": trial.violation,
        "evaluations": [_evaluation(new) for new in trial.evaluations],
    }
