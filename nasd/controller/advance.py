"""advance: one planner tick as a value. Facts are consumed one at a time, with proposals in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nasd.controller.admission import admission_end, stage_kinds
from nasd.controller.costs import check_agreement
from nasd.controller.mind import BASELINE, REFUNDED, StudyMind
from nasd.controller.objectives import total_violation
from nasd.controller.reference import freeze_boxes
from nasd.domain.history import Fact, Proposal, Wait
from nasd.domain.ids import DeviceKind, LearnedSeq, TrialId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.domain.seeding import evaluation_seed
from nasd.errors import SpaceExhausted
from nasd.ports.trials import Finished, FrontChange, NewEvaluation, NewTrial, Step, StudyState

BASELINE_PRIORITY = 100  # the scoring box waits for them
HOPELESS_AFTER = 12  # trials that failed one after the other, each after all its attempts
CHEAP_PRIORITY = 10  # measured before trained: a broken limit is found before a long training


def advance(
    mind: StudyMind, finished: Sequence[Finished], *, target: int, admit: bool = True, used_s: float = 0.0
) -> Step:
    """Learn `finished` in order, topping up to `target` trials in flight after each, and see whether the study ends.

    Changes `mind` in place. Store the step in one transaction; where that fails, throw the mind away and rebuild it
    from rows.

    Args:
        target: trials to have proposed and not learned.
        admit: False while the study is paused: facts are learned, nothing is proposed and the study does not end.
        used_s: wall seconds of search since the last step.

    Raises:
        UserError: the user's costs can't be had, or an evaluation contradicts them; `mind` is of no use any more.
    """
    draft = _Draft(mind, target=target, admit=admit)
    mind.used_s += used_s
    for item in finished:
        draft.learn(item)
        draft.top_up()
    if not finished:
        draft.top_up()
    return draft.step(used_s)


class _Draft:
    """The step so far."""

    def __init__(self, mind: StudyMind, *, target: int, admit: bool) -> None:
        self.mind, self.target, self.admit = mind, target, admit
        self.facts: list[Fact] = []
        self.trial_ids: list[TrialId] = []
        self.trials: list[NewTrial] = []
        self.rounds: list[tuple[TrialNumber, NewEvaluation]] = []
        self.front: list[FrontChange] = []
        self.reference: dict[str, object] = {}

    def learn(self, item: Finished) -> None:
        mind = self.mind
        teaches = item.state not in REFUNDED
        mind.failed_in_a_row = mind.failed_in_a_row + 1 if item.state is State.FAILED else 0
        overshoot = max(item.violation, total_violation(mind.spec, item.values)) if teaches else 0.0
        fact = Fact(
            seq=LearnedSeq(mind.history.learned_seq + 1),
            kind=item.kind,
            trial=item.number,
            state=item.state,
            values=item.values,
            violation=overshoot,
        )
        if self.admit:  # what is paused must not need the user's code
            check_agreement(mind.parts.declared(mind.history.architectures[fact.trial]), fact)
        changes = mind.learn(fact)
        self.facts.append(fact)
        self.trial_ids.append(item.trial_id)
        self.rounds.extend(mind.rounds.due(fact, changes, mind.fronts))
        frozen = self._freeze(final=False)
        for kind, front in mind.fronts.items():
            if kind in changes or (kind in frozen and len(front)):
                self.front.append(front.change(fact.seq, changes.get(kind)))

    def top_up(self) -> None:
        """Propose until the target is reached, admission ends, or the strategy waits."""
        mind = self.mind
        while self.admit and mind.history.n_in_flight < self.target and self._end() is None:
            try:
                proposal = mind.propose()
            except SpaceExhausted:
                mind.exhausted = True
                return
            if isinstance(proposal, Wait):
                return
            self.trials.append(new_trial(mind, proposal))
            mind.history.add(proposal)

    def step(self, used_s: float) -> Step:
        mind = self.mind
        hopeless = self._hopeless() if self.admit else None
        end = self._end() if self.admit and mind.is_quiet and hopeless is None else None
        if end is not None:
            self._score_at_the_end()
        state = (StudyState.COMPLETED, end) if end is not None else None
        return Step(
            study=mind.parts.study,
            facts=tuple(self.facts),
            trial_ids=tuple(self.trial_ids),
            trials=tuple(self.trials),
            new_rounds=tuple(self.rounds),
            front=tuple(self.front),
            reference=self.reference,
            strategy_version=mind.parts.strategy.version if self.trials else None,
            state=state if hopeless is None else (StudyState.STOPPED, hopeless),
            cancel_open=hopeless is not None,
            used_s=used_s,
        )

    def _hopeless(self) -> str | None:
        """Failed trials are refunded, so that a study in which nothing works would go on for ever."""
        mind = self.mind
        if mind.failed_in_a_row < HOPELESS_AFTER:
            return None
        newest = mind.history.facts[-1].trial
        look = f"nasd logs {mind.spec.name} {newest}"
        return f"its last {mind.failed_in_a_row} trials failed; see why with `{look}`, mend it and run it again"

    def _end(self) -> str | None:
        mind = self.mind
        return admission_end(mind.spec.budget, n_charged=mind.n_charged, used_s=mind.used_s, exhausted=mind.exhausted)

    def _freeze(self, *, final: bool) -> frozenset[DeviceKind]:
        """Freeze the scoring boxes that are due; of which kinds."""
        boxes = freeze_boxes(self.mind, final=final)
        for kind, box in boxes.items():
            self.mind.fronts[kind].box = box
            self.reference[kind] = box.to_json()
        return frozenset(boxes)

    def _score_at_the_end(self) -> None:
        """A study that ends before its boxes were due is scored with what it has."""
        mind, seq = self.mind, self.mind.history.learned_seq
        for kind in self._freeze(final=True):
            front = mind.fronts[kind]
            unscored = [change for change in self.front if (change.device_kind, change.seq) == (kind, seq)]
            if unscored:
                self.front.remove(unscored[-1])
                self.front.append(replace(unscored[-1], hypervolume=front.score()))
            elif len(front):
                self.front.append(front.change(seq, None))


def new_trial(mind: StudyMind, proposal: Proposal) -> NewTrial:
    """The trial to store; without evaluations where what is known ahead breaks a limit already.

    Raises:
        UserError: the user's costs can't be had.
    """
    spec, strategy = mind.spec, mind.parts.strategy
    counts = mind.parts.space.counts(proposal.architecture) if spec.is_counted_ahead else {}
    known = {**counts, **mind.parts.declared(proposal.architecture)}
    overshoot = total_violation(spec, known)
    needed = stage_kinds(spec)
    stages = needed if overshoot <= 0 else ()
    trained = any(stage is not Stage.MEASURE for stage, _ in needed)
    return NewTrial(
        number=mind.next_number,
        proposal=proposal,
        proposed_from=mind.history.learned_seq,
        strategy=strategy.name,
        strategy_version=strategy.version,
        fidelity=spec.train.steps if trained else 0,
        seed=evaluation_seed(spec.seed, proposal.architecture.key, 0),
        counts=known,
        units={name: spec.unit_of(name) for name in known},
        evaluations=tuple(_evaluation(stage, kind, operator=proposal.operator) for stage, kind in stages),
        violation=overshoot,
    )


def _evaluation(stage: Stage, kind: DeviceKind, *, operator: str) -> NewEvaluation:
    priority = BASELINE_PRIORITY if operator == BASELINE else 0
    priority += CHEAP_PRIORITY if stage is Stage.MEASURE else 0
    return NewEvaluation(stage=stage, device_kind=kind, priority=priority)
