"""advance: one planner tick as a value. Facts are consumed one at a time, with proposals in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nasd.controller.admission import admission_end
from nasd.controller.costs import check_agreement
from nasd.controller.joining import take_on
from nasd.controller.mind import REFUNDED, StudyMind
from nasd.controller.new_trials import new_trial
from nasd.controller.objectives import total_violation
from nasd.controller.reference import freeze_boxes
from nasd.domain.history import Fact, Wait
from nasd.domain.ids import DeviceKind, LearnedSeq, TrialId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.errors import SpaceExhausted
from nasd.ports.trials import Finished, FrontChange, NewEvaluation, NewTrial, Step, StudyState

HOPELESS_AFTER = 12  # trials that failed one after the other, each after all its attempts


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the fleet lets a study do.

    Attributes:
        absent: device kinds that have had no worker for the study's patience: new trials do not wait for them.
        n_open: evaluations that the rows hold open, by device kind, as they were before `finished` was read; None: it
            was not asked, and the study does not end.
        give_up: what is open waits for absent kinds alone, has done so for the study's patience, and the study is to
            finish without.
    """

    absent: frozenset[DeviceKind] = frozenset()
    n_open: Mapping[DeviceKind, int] | None = field(default_factory=dict)
    give_up: bool = False


def is_over(mind: StudyMind) -> bool:
    """Whether no trial is proposed any more and all are learned: what is open now only revises them."""
    end = admission_end(mind.spec.budget, n_charged=mind.n_charged, used_s=mind.used_s, exhausted=mind.exhausted)
    return end is not None and not mind.history.n_in_flight


def advance(
    mind: StudyMind,
    finished: Sequence[Finished],
    *,
    target: int,
    admit: bool = True,
    used_s: float = 0.0,
    fleet: Fleet = Fleet(),
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
    draft = _Draft(mind, target=target, admit=admit, fleet=fleet)
    mind.used_s += used_s
    for item in finished:
        draft.learn(item)
        draft.top_up()
    if not finished:
        draft.top_up()
    return draft.step(used_s)


class _Draft:
    """The step so far."""

    def __init__(self, mind: StudyMind, *, target: int, admit: bool, fleet: Fleet) -> None:
        self.mind, self.target, self.admit, self.fleet = mind, target, admit, fleet
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
        overshoot = total_violation(mind.spec, item.values, mind.kinds.founding) if teaches else 0.0
        fact = Fact(
            seq=LearnedSeq(mind.history.learned_seq + 1),
            kind=item.kind,
            trial=item.number,
            state=item.state,
            values=item.values,
            violation=max(item.violation, overshoot) if teaches else 0.0,
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
            self.trials.append(new_trial(mind, proposal, absent=self.fleet.absent))
            mind.history.add(proposal)

    def step(self, used_s: float) -> Step:
        mind = self.mind
        hopeless = self._hopeless() if self.admit else None
        taken = take_on(mind)
        self.rounds.extend(taken.rounds)
        end = self._final_end() if self.admit and hopeless is None and not taken.rounds else None
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
            joined=taken.joined,
            granted=taken.granted,
            state=state if hopeless is None else (StudyState.STOPPED, hopeless),
            cancel_open=hopeless is not None or (end is not None and self.fleet.give_up),
            used_s=used_s,
        )

    def _final_end(self) -> str | None:
        """Why the study ends with this step; None while it goes on, or something that it waits for is under way."""
        end, fleet = self._end(), self.fleet
        if end is None or fleet.n_open is None or self.mind.history.n_in_flight:
            return None
        if fleet.give_up and fleet.n_open:
            n, kinds = sum(fleet.n_open.values()), ", ".join(sorted(fleet.n_open))
            return f"{end}; {n} {'measurement' if n == 1 else 'measurements'} on {kinds} given up: no worker came"
        return end if self.mind.is_quiet and not fleet.n_open else None

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
