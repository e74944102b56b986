"""In-memory TrialStore, Leadership, CacheStore and Queue that obey the ports, over `fakes_world.World`."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from fakes_world import OPEN, EvaluationRow, StudyRow, TrialRow, World

from nasd.domain.architecture import Architecture
from nasd.domain.history import Fact
from nasd.domain.ids import DeviceKind, LearnedSeq, StudyId, TrialId, TrialNumber
from nasd.domain.lifecycle import State
from nasd.domain.measurement import Stage
from nasd.errors import Deposed
from nasd.ports.trials import (
    Finished,
    LiveWorker,
    NewEvaluation,
    NewTrial,
    OpenLease,
    Step,
    StoredTrial,
    Study,
    StudyState,
)


class FakeTrialStore:
    def __init__(self, world: World) -> None:
        self._world = world

    def _enter(self, name: str, epoch: int | None = None) -> World:
        world = self._world
        world.n_calls[name] += 1
        if world.away:
            raise ConnectionError("the database is away")
        if epoch is not None and (epoch != world.epoch or world.holder is None):
            raise Deposed(epoch)
        return world

    def studies(self) -> Sequence[Study]:
        world = self._enter("studies")
        with world.lock:
            return [row.study for _, row in sorted(world.rows.items()) if row.study.state in OPEN]

    def history(self, study: StudyId) -> tuple[Sequence[StoredTrial], Sequence[Fact]]:
        world = self._enter("history")
        with world.lock:
            row = world.rows[study]
            return [_stored(trial.new) for trial in row.trials], list(row.facts)

    def finished(self, study: StudyId, limit: int) -> Sequence[Finished]:
        world = self._enter("finished")
        with world.lock:
            pending = [trial for trial in world.rows[study].trials if trial.pending]
            pending.sort(key=lambda trial: (trial.finished_at, trial.id))
            return [
                Finished(
                    trial_id=trial.id,
                    number=trial.new.number,
                    kind=trial.pending,
                    state=trial.state,
                    values=dict(trial.values),
                    violation=trial.violation,
                )
                for trial in pending[:limit]
            ]

    def apply(self, epoch: int, step: Step) -> None:
        world = self._enter("apply", epoch)
        with world.lock:
            row = world.rows[step.study]
            self._learn(row, step)
            for new in step.trials:
                self._insert(world, row, new)
            for number, new in step.new_rounds:
                self._insert_round(world, step.study, number, new)
            row.fronts.extend(step.front)
            study = row.study
            if step.state is not None and study.state is StudyState.RUNNING:
                study = replace(study, state=step.state[0])
                row.reason = step.state[1]
            row.study = replace(
                study,
                used_s=study.used_s + step.used_s,
                reference={**study.reference, **copy.deepcopy(dict(step.reference))},
                strategy_version=step.strategy_version or study.strategy_version,
                joined={**study.joined, **step.joined},
                wanted={kind: which for kind, which in study.wanted.items() if step.granted.get(kind) != which},
            )
            if step.cancel_open:
                for each in world.evaluations:
                    if each.study == step.study and each.state in {State.QUEUED, State.RUNNING}:
                        each.state = State.CANCELLED

    @staticmethod
    def _learn(row: StudyRow, step: Step) -> None:
        for fact, trial_id in zip(step.facts, step.trial_ids, strict=True):
            trial = row.trials[fact.trial]
            assert fact.seq == len(row.facts) + 1, "the learned order has no gaps"
            assert trial.id == trial_id
            assert trial.pending is not None, "a fact is learned once"
            trial.pending = None if trial.values == dict(fact.values) else "revision"
            row.facts.append(fact)

    @staticmethod
    def _insert_round(world: World, study: StudyId, number: TrialNumber, new: NewEvaluation) -> None:
        """The next round that the trial has not had there; nothing where one is open, but after a later one."""
        like = [
            each
            for each in world.evaluations
            if (each.study, each.number, each.new.stage, each.new.device_kind)
            == (study, number, new.stage, new.device_kind)
        ]
        last = max((each.new.round for each in like), default=0)
        is_next = last > 1 and new.round == last + 1
        if not is_next and any(each.state in {State.QUEUED, State.RUNNING} for each in like):
            return
        round_ = max([new.round, *(each.new.round + 1 for each in like)])
        world.evaluations.append(EvaluationRow(len(world.evaluations), study, number, replace(new, round=round_)))

    @staticmethod
    def _insert(world: World, row: StudyRow, new: NewTrial) -> None:
        assert new.number == len(row.trials), "trial numbers have no gaps"
        key = (new.proposal.architecture.key, new.fidelity)
        assert key not in {(t.new.proposal.architecture.key, t.new.fidelity) for t in row.trials}, "recorded twice"
        trial = TrialRow(
            id=TrialId(row.study.id * 1_000_000 + new.number),
            new=new,
            state=State.QUEUED,
            values={name: float(count) for name, count in new.counts.items()},
            violation=new.violation,
        )
        row.trials.append(trial)
        if not new.evaluations:
            world._n_final += 1
            trial.state, trial.pending, trial.finished_at = State.INFEASIBLE, "result", world._n_final
        for evaluation in new.evaluations:
            world.evaluations.append(EvaluationRow(len(world.evaluations), row.study.id, new.number, evaluation))

    def open_leases(self) -> Sequence[OpenLease]:
        world = self._enter("open_leases")
        with world.lock:
            return [
                OpenLease(evaluation_id=each.id, token=each.token, renewals=each.renewals, duration_s=1.0)
                for each in world.evaluations
                if each.state is State.RUNNING
            ]

    def expire(self, epoch: int, leases: Sequence[OpenLease], *, spend_attempt: bool) -> int:
        world = self._enter("expire", epoch)
        n = 0
        with world.lock:
            for lease in leases:
                row = world.evaluations[lease.evaluation_id]
                if row.state is State.RUNNING and (row.token, row.renewals) == (lease.token, lease.renewals):
                    world.lose(row, spend=spend_attempt)
                    n += 1
        return n

    def n_open(self, study: StudyId) -> Mapping[DeviceKind, int]:
        world = self._enter("n_open")
        with world.lock:
            rows = [each for each in world.evaluations if each.study == study]
            return Counter(each.new.device_kind for each in rows if each.state in {State.QUEUED, State.RUNNING})

    def workers(self) -> Sequence[LiveWorker]:
        world = self._enter("workers")
        with world.lock:
            return list(world.live)


class FakeLeadership:
    def __init__(self, world: World) -> None:
        self._world = world

    def _enter(self) -> World:
        if self._world.away:
            raise ConnectionError("the database is away")
        return self._world

    def take(self, holder: str, *, depose: int | None) -> int | None:
        world = self._enter()
        with world.lock:
            if world.holder is not None and world.epoch != depose:
                return None
            world.epoch, world.holder, world.beats = world.epoch + 1, holder, 0
            return world.epoch

    def watch(self) -> tuple[int, int] | None:
        world = self._enter()
        return None if world.holder is None else (world.epoch, world.beats)

    def beat(self, epoch: int) -> None:
        world = self._enter()
        with world.lock:
            if world.epoch != epoch or world.holder is None:
                raise Deposed(epoch)
            world.beats += 1

    def resign(self, epoch: int) -> None:
        world = self._enter()
        with world.lock:
            if world.epoch == epoch:
                world.holder = None


class FakeCaches:
    def __init__(self, world: World) -> None:
        self._world = world

    def load(self, study: StudyId, strategy_version: str, settings_hash: str) -> tuple | None:
        return copy.deepcopy(self._world.caches.get((study, strategy_version, settings_hash)))

    def save(
        self, study: StudyId, strategy_version: str, settings_hash: str, *, learned_seq: LearnedSeq, state: dict
    ) -> None:
        self._world.caches[study, strategy_version, settings_hash] = (learned_seq, copy.deepcopy(state))


class FakeQueue:
    def __init__(self, world: World, *, reachable: bool = True) -> None:
        self._world, self.reachable = world, reachable

    def ring(self, kind: DeviceKind) -> bool:
        if self.reachable:
            self._world.rings[kind] += 1
        return self.reachable

    def depths(self, kinds: Sequence[DeviceKind]) -> dict[DeviceKind, int]:
        return {kind: int(self._world.rings[kind] > 0) for kind in kinds} if self.reachable else {}


def live_worker(name: str = "w", *, kind: str = "local", stages: tuple = (), studies: tuple = ()) -> LiveWorker:
    return LiveWorker(
        name=name,
        device_kind=DeviceKind(kind),
        stages=stages or tuple(Stage),
        studies=studies,
        offers=("torch", "torch-eager"),
        beats=0,
        last_seen_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def _stored(new: NewTrial) -> StoredTrial:
    """As it comes back from rows: the architecture parsed from its JSON."""
    architecture = Architecture.from_json(new.proposal.architecture.json)
    return StoredTrial(
        number=new.number,
        proposal=replace(new.proposal, architecture=architecture),
        proposed_from=new.proposed_from,
        strategy=new.strategy,
        strategy_version=new.strategy_version,
    )
