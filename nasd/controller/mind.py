"""StudyMind: all that the controller knows of one study, rebuilt from rows alone.

It is changed in place while a step is being computed. If the step can't be stored, the mind is thrown away and rebuilt
from rows: it never holds anything that the rows don't say, so there is nothing to roll back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nasd.controller.admission import stage_kinds
from nasd.controller.fronts import KindFront, Membership
from nasd.controller.kinds import Kinds, kinds_of
from nasd.controller.objectives import deciding_limits, device_limits, history_objectives, kind_columns
from nasd.controller.rounds import Rounds
from nasd.controller.stages import Memory, no_estimate
from nasd.domain.architecture import Architecture
from nasd.domain.data import DataFacts
from nasd.domain.history import Fact, History, Proposal, Wait
from nasd.domain.ids import DeviceKind, StudyId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.scoring import Bounds, ScoringBox
from nasd.domain.seeding import trial_rng
from nasd.domain.space import SearchSpace
from nasd.domain.study import StudySpec
from nasd.ports.trials import StoredTrial, Wanted
from nasd.strategies.base import Costs, SearchStrategy, nothing_known

REFUNDED = frozenset({State.FAILED, State.CANCELLED})  # the world's fault or an operator's wish: not charged
BASELINE = "baseline"
WARM_START = "warm-start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a mind is made of, besides rows.

    Attributes:
        strategy: fresh, built for `history_objectives(spec)` and `kinds`.
        baselines: proposed first, by name; empty where the study file turns them off.
        warm_starts: proposed after them, in this order; none of them is a baseline, none is there twice.
        declared: what the user's own function knows of an architecture before it is evaluated.
        kinds: that are served, and since when; None: all of the study's, from its first trial on.
        memory: MiB that a stage of an architecture takes at most.
    """

    study: StudyId
    spec: StudySpec
    space: SearchSpace
    strategy: SearchStrategy
    baselines: tuple[tuple[str, Architecture], ...] = ()
    warm_starts: tuple[Architecture, ...] = ()
    declared: Costs = nothing_known
    data: DataFacts | None = None
    kinds: Kinds | None = None
    memory: Memory = no_estimate


class StudyMind:
    """The state of one study: history, fronts, scoring boxes, later rounds, tally."""

    def __init__(self, parts: Parts, *, reference: Mapping[str, object] | None = None, used_s: float = 0.0) -> None:
        spec = parts.spec
        self.parts = parts
        self.used_s = used_s
        self.exhausted = False  # remembered from the strategy; asking again would answer the same
        self.failed_in_a_row = 0  # since this mind was built: a study that was mended and runs again begins anew
        self.history = History(history_objectives(spec))
        self.count_extremes: Bounds | None = None  # of the space; searched when a box is due
        self.tally: Counter[State] = Counter()  # learned trials by state
        self.kinds = parts.kinds or kinds_of(spec, {})
        self.fronts = {kind: _front(spec, kind, self.kinds.founding) for kind in self.kinds.all}
        self.joining: dict[str, int] = {}  # kinds let in that no step has told the rows of
        self.wanted: dict[DeviceKind, Wanted] = {}  # what is to be measured, that no step has queued
        for kind, stored in (reference or {}).items():
            self.fronts[DeviceKind(kind)].box = ScoringBox.from_json(stored)
        measured = tuple(kind for stage, kind in stage_kinds(spec) if stage is Stage.MEASURE)
        self.rounds = Rounds(spec, kinds=measured)

    @property
    def spec(self) -> StudySpec:
        return self.parts.spec

    @property
    def next_number(self) -> TrialNumber:
        return TrialNumber(len(self.history))

    @property
    def n_charged(self) -> int:
        """Trials that count against the budget; what is in flight is reserved."""
        return len(self.history) - sum(self.tally[state] for state in REFUNDED)

    @property
    def is_quiet(self) -> bool:
        """Nothing proposed is unlearned and no later round is awaited."""
        return self.history.n_in_flight == 0 and not self.rounds.awaited

    def adopt(self, spec: StudySpec) -> None:
        """Go on under a changed study file in which only budget and in-flight number differ."""
        self.parts = replace(self.parts, spec=spec)

    def propose(self) -> Proposal | Wait:
        """The next trial: the baselines, the warm starts, then the strategy's.

        Raises:
            SpaceExhausted: the strategy has nothing left.
            ValueError: the strategy proposed an architecture twice (a defect in it).
        """
        number = self.next_number
        proposal = self._propose(number)
        if isinstance(proposal, Proposal):
            twin = self.history.number_of(proposal.architecture.key)
            if twin is not None:
                name = self.parts.strategy.name
                raise ValueError(f"strategy {name} proposed trial {twin}'s architecture again as trial {number}")
        return proposal

    def _propose(self, number: TrialNumber) -> Proposal | Wait:
        baselines = self.parts.baselines
        if number < len(baselines):
            name, architecture = baselines[number]
            return Proposal(architecture=architecture, operator=BASELINE, notes={"name": name})
        warm_starts, place = self.parts.warm_starts, number - len(baselines)
        if place < len(warm_starts):
            return Proposal(architecture=warm_starts[place], operator=WARM_START)
        return self.parts.strategy.propose(self.history, number, trial_rng(self.spec.seed, number))

    def learn(self, fact: Fact) -> dict[DeviceKind, Membership]:
        """Take in the next fact; how each front's members changed, where they or their values did."""
        before = self.history.state(fact.trial) if fact.trial < len(self.history) else None
        self.history.learn(fact)
        if before is not None:
            self.tally[before] -= 1
        self.tally[fact.state] += 1
        eligible = fact.state is State.COMPLETED and fact.violation <= 0
        changes = {}
        for kind, front in self.fronts.items():
            change = front.learn(fact, self.history, eligible=eligible, is_first=before is None)
            if change is not None:
                changes[kind] = change
        return changes

    def baselines_are_final(self) -> bool:
        """Every baseline that the budget allows was proposed and learned."""
        n = min(len(self.parts.baselines), self.spec.budget.trials or len(self.parts.baselines))
        if len(self.history) < n:
            return False
        return all(self.history.state(TrialNumber(number)) is not None for number in range(n))


def _front(spec: StudySpec, kind: DeviceKind, founding: Sequence[DeviceKind]) -> KindFront:
    return KindFront(
        kind,
        objectives=spec.objectives_on(kind),
        columns=kind_columns(spec, kind),
        limits=device_limits(spec, kind, founding),
        deciding=deciding_limits(spec, kind),
    )


def rebuild(
    parts: Parts,
    trials: Iterable[StoredTrial],
    facts: Iterable[Fact],
    *,
    reference: Mapping[str, object] | None = None,
    used_s: float = 0.0,
) -> StudyMind:
    """The mind that these rows make: the same, whether its study was killed or never stopped.

    Args:
        trials: in number order, without gaps.
        facts: in learned order.
        reference: the scoring boxes frozen so far.

    Raises:
        ValueError: a gap in the numbers or in the learned order.
    """
    mind = StudyMind(parts, reference=reference, used_s=used_s)
    for trial in trials:
        if trial.number != mind.next_number:
            raise ValueError(f"trial {trial.number} can't follow {mind.next_number - 1}: trial numbers have no gaps")
        mind.history.add(trial.proposal)
    for fact in facts:
        changes = mind.learn(fact)
        mind.rounds.due(fact, changes, mind.fronts)
    return mind
