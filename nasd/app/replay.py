"""Recomputing a study's proposals from its rows: what `nasd replay` shows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from nasd.app.stored import stored_study
from nasd.controller.mind import StudyMind
from nasd.controller.replay import Difference, replay
from nasd.daemon.parts import build_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Every stored proposal, made again.

    Attributes:
        n_facts: learned facts, from which the proposals were made.
        differences: empty where all are equal to the last bit.
    """

    study: str
    n_proposals: int
    n_facts: int
    strategy: str
    differences: tuple[Difference, ...]

    @property
    def is_equal(self) -> bool:
        return not self.differences


def replay_study(url: str, name: str, *, allow: Collection[str] = ()) -> Replayed:
    """Read trials and facts in one snapshot and make each proposal again; the study may be running meanwhile.

    Args:
        url: of the database, as its controller.
        name: of the study, in whatever state.
        allow: packages that the function of `evaluation.costs` may be imported from.

    Raises:
        UserError: there is no such study, or this program can't build its space or strategy.
        Unavailable: the database can't be reached.
    """
    study, trials, facts = stored_study(url, name, purpose="replay")
    parts = build_parts(study, allow=allow)
    return Replayed(
        study=name,
        n_proposals=len(trials),
        n_facts=len(facts),
        strategy=parts.strategy.version,
        differences=tuple(replay(StudyMind(parts, reference=study.reference), trials, facts)),
    )
