"""Replay: recompute every proposal of a study from its rows and compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nasd.controller.mind import StudyMind
from nasd.domain.history import Fact, Proposal, Wait
from nasd.domain.ids import TrialNumber
from nasd.errors import SpaceExhausted
from nasd.ports.trials import StoredTrial


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the recomputed proposal is not the stored one.

    Attributes:
        of: `architecture`, `operator`, `parents`, `strategy`, `order` or `proposal` (none could be made).
    """

    trial: TrialNumber
    of: str
    stored: str
    replayed: str

    def __str__(self) -> str:
        return f"trial {self.trial}: {self.of} stored {self.stored}, replayed {self.replayed}"


def replay(mind: StudyMind, trials: Iterable[StoredTrial], facts: Iterable[Fact]) -> list[Difference]:
    """Each proposal again, from exactly the rows that it saw; empty when all are bit-equal.

    Each comparison starts from the stored rows before it, so one difference does not spoil the next.

    Args:
        mind: empty; consumed.
        trials: in number order.
        facts: in learned order.
    """
    pending = iter(facts)
    differences: list[Difference] = []
    for trial in trials:
        while mind.history.learned_seq < trial.proposed_from:
            fact = next(pending, None)
            if fact is None:
                differences.append(_order(trial, mind))
                return differences
            mind.learn(fact)
        if mind.history.learned_seq != trial.proposed_from:
            differences.append(_order(trial, mind))
        differences.extend(_compare(trial, mind))
        mind.history.add(trial.proposal)
    return differences


def _order(trial: StoredTrial, mind: StudyMind) -> Difference:
    return Difference(trial.number, "order", f"fact {trial.proposed_from}", f"fact {mind.history.learned_seq}")


def _compare(trial: StoredTrial, mind: StudyMind) -> list[Difference]:
    strategy = mind.parts.strategy
    made_by, now = f"{trial.strategy} {trial.strategy_version}", f"{strategy.name} {strategy.version}"
    if made_by != now:
        return [Difference(trial.number, "strategy", made_by, now)]
    try:
        again = mind.propose()
    except (SpaceExhausted, ValueError) as error:
        return [Difference(trial.number, "proposal", trial.proposal.architecture.json, str(error))]
    if isinstance(again, Wait):
        return [Difference(trial.number, "proposal", trial.proposal.architecture.json, f"wait: {again.reason}")]
    pairs = zip(_described(trial.proposal), _described(again), strict=True)
    return [Difference(trial.number, of, old, new) for (of, old), (_, new) in pairs if old != new]


def _described(proposal: Proposal) -> tuple[tuple[str, str], ...]:
    return (
        ("architecture", proposal.architecture.json),
        ("operator", proposal.operator),
        ("parents", str([int(parent) for parent in proposal.parents])),
    )
