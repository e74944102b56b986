"""Served: one study as the planner serves it, and how its mind comes back from rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nasd.controller.able import without_worker
from nasd.controller.kinds import kinds_of
from nasd.controller.mind import Parts, StudyMind, rebuild
from nasd.daemon.board import StrategyCache, StudyFigures
from nasd.daemon.pace import Pace
from nasd.daemon.parts import settings_hash
from nasd.daemon.timed import TimedStrategy
from nasd.domain.ids import DeviceKind, TrialNumber
from nasd.domain.killpoints import killpoint
from nasd.domain.study import BudgetSpec, StudySpec
from nasd.errors import UserError
from nasd.ports.cache import CacheStore
from nasd.ports.clock import Clock
from nasd.ports.trials import LiveWorker, Step, Study, TrialStore

ORDER_EVERY_S = 3.0  # making one takes a tenth of a second, in which the planner proposes nothing
Order = Mapping[TrialNumber, int]


@dataclass(slots=True)
class Served:
    """What the planner keeps of a study between two ticks; nothing of it is missed after a crash.

    Attributes:
        paid_until: monotonic seconds up to which its used time is accounted for; None while it is not running.
        retry_at: monotonic seconds before which a study whose tick failed is left alone.
        cached_seq: the fact up to which its strategy's cache was last offered.
        missing: device kinds that no live worker can measure on, and since which monotonic second.
    """

    study: Study
    mind: StudyMind | None = None
    strategy: TimedStrategy | None = None
    pace: Pace = field(default_factory=Pace)
    paid_until: float | None = None
    n_failures: int = 0
    retry_at: float = 0.0
    cached_seq: int = 0
    missing: dict[DeviceKind, float] = field(default_factory=dict)
    _orders: dict[DeviceKind, tuple[tuple[int, int], float, Order]] = field(default_factory=dict)

    def take(self, study: Study) -> None:
        """Go on with the row as it is now: a budget raised, the study paused, a device kind added."""
        if self.mind is not None and study.spec != self.study.spec:
            if _without_budget(study.spec) == _without_budget(self.study.spec):
                self.mind.adopt(study.spec)
                self.mind.exhausted = False
            else:
                self.forget()
        if self.mind is not None and study.wanted != self.study.wanted:
            self.mind.wanted = {DeviceKind(kind): which for kind, which in study.wanted.items()}
        self.study = study

    def look_for_workers(self, workers: Sequence[LiveWorker], now: float) -> None:
        """Note which kinds have no worker now."""
        missing = without_worker(self.study.spec, workers)
        self.missing = {kind: self.missing.get(kind, now) for kind in missing}

    def absent(self, now: float) -> frozenset[DeviceKind]:
        """Kinds that have been missing for as long as the study is patient."""
        patience_s = self.study.spec.measure.patience_s
        return frozenset(kind for kind, since in self.missing.items() if now - since >= patience_s)

    def order(self, kind: DeviceKind, priorities: Callable[[StudyMind, DeviceKind], Order], *, now: float) -> Order:
        """`priorities` of the mind, made anew once a while where it has learned or proposed something since."""
        assert self.mind is not None
        as_of = (self.mind.history.learned_seq, len(self.mind.history))
        known = self._orders.get(kind)
        if known is None or (known[0] != as_of and now - known[1] >= ORDER_EVERY_S):
            known = self._orders[kind] = (as_of, now, priorities(self.mind, kind))
        return known[2]

    def stored(self, step: Step) -> None:
        """The row says what the step let in: no news at the next look."""
        if step.joined or step.granted:
            granted = {str(kind): which for kind, which in step.granted.items()}
            wanted = {kind: which for kind, which in self.study.wanted.items() if granted.get(kind) != which}
            self.study = replace(self.study, joined={**self.study.joined, **step.joined}, wanted=wanted)

    def forget(self) -> None:
        """Everything that rows can bring back."""
        self.mind = self.strategy = None
        self.paid_until = None

    def figures(self) -> StudyFigures | None:
        if self.mind is None:
            return None
        return StudyFigures(
            name=self.study.name,
            tally=dict(self.mind.tally),
            n_in_flight=self.mind.history.n_in_flight,
            learned_seq=self.mind.history.learned_seq,
            fronts={kind: (len(front), front.last_score) for kind, front in self.mind.fronts.items()},
        )

    def due_cache(self, every: int) -> StrategyCache | None:
        """The strategy's cache, once `every` facts have been learned since the last."""
        if self.mind is None or self.strategy is None or self.mind.history.learned_seq < self.cached_seq + every:
            return None
        self.cached_seq = self.mind.history.learned_seq
        cached = self.strategy.cache()
        if cached is None:
            return None
        return StrategyCache(
            study=self.study.id,
            strategy_version=self.strategy.version,
            settings_hash=settings_hash(self.study),
            learned_seq=cached[0],
            state=cached[1],
        )


def bring_back(
    served: Served,
    *,
    store: TrialStore,
    caches: CacheStore,
    build_parts: Callable[[Study], Parts],
    clock: Clock,
    on_proposed: Callable[[float], None],
) -> None:
    """Build the study's mind from its rows.

    Raises:
        UserError: the study can't be served by this program; the message says why and what to do.
    """
    killpoint("planner.before_rebuild")
    study = served.study
    trials, facts = store.history(study.id)
    joining: dict[str, int] = dict.fromkeys(kinds_of(study.spec, study.joined).joining, len(trials))
    parts = build_parts(replace(study, joined={**study.joined, **joining}))
    version = parts.strategy.version
    if study.strategy_version not in {None, version}:
        raise UserError(
            f"study {study.name}: its trials were proposed by {study.strategy_version}, this program has {version}; "
            f"go on with the version that began it, or start a new study"
        )
    cached = caches.load(study.id, version, settings_hash(study))
    if cached is not None and cached[0] <= len(facts):
        parts.strategy.restore(*cached)
    served.cached_seq = cached[0] if cached is not None else 0
    served.strategy = TimedStrategy(parts.strategy, clock, on_proposed)
    parts = replace(parts, strategy=served.strategy)
    served.mind = rebuild(parts, trials, facts, reference=study.reference, used_s=study.used_s)
    served.mind.joining = joining
    served.mind.wanted = {DeviceKind(kind): which for kind, which in study.wanted.items()}
    for front in served.mind.fronts.values():
        front.last_score = front.score()
    killpoint("planner.after_rebuild")


def _without_budget(spec: StudySpec) -> StudySpec:
    """What may change without another mind."""
    return replace(spec, budget=BudgetSpec(trials=1), strategy=replace(spec.strategy, in_flight=None))
