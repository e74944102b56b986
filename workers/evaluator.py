"""Evaluator: has evaluations carried out by a warm child, which it reuses while healthy and replaces when it is not."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nasd.config import WorkerSettings
from nasd.domain.ids import DeviceKind
from nasd.domain.measurement import Outcome, OutcomeKind, Stage
from workers import verdict
from workers.assignment import Assignment, outcome_from_json
from workers.control import Order
from workers.hostlock import DEFAULT_DIRECTORY
from workers.oom import n_oom_kills
from workers.process import KEEP_LOG_BYTES, ChildProcess, Start
from workers.recipe import MOST_KEPT, Recipe
from workers.verdict import Verdict

logger = logging.getLogger(__name__)

FIRST_TICK_S = 0.01  # what takes longer than this is worth telling other workers about
TICK_S = 0.05
START_LIMIT_S = 180.0  # importing torch on a slow board
_OOM_EVERY_S = 1.0


@dataclass(slots=True)
class _Watch:
    """What the ticks of one evaluation know."""

    stage: Stage
    kind: DeviceKind
    recipe: Mapping[str, object]
    limit_s: float
    began: float
    running_since: float | None = None
    told_at: float | None = None
    verdict: Verdict | None = None
    is_stopped: bool = False


class Evaluator:
    """One evaluation at a time. `order` and `progress` may be called from another thread meanwhile.

    Attributes:
        produced: what the last evaluation left in its outbox: names of files by format.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        warm: bool,
        wake: int | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
        lock_directory: Path = DEFAULT_DIRECTORY,
        scratch: Path | None = None,
        min_life_s: float = 60.0,
    ) -> None:
        """Nothing is started yet.

        Args:
            settings: limits and when to replace the child.
            warm: its first child imports torch at once.
            wake: a file descriptor that becomes readable when `is_stopping` turns true.
            is_stopping: the worker wants to leave; the running evaluation is to stop at its next step boundary.
            lock_directory: of the host's measuring lock.
            scratch: a folder for checkpoints of users' evaluations; None: they keep none.
            min_life_s: a child is not replaced for its number of evaluations before this age: where an evaluation takes
                a millisecond, a new process every 500 would cost more than they do.
        """
        self._settings, self._warm, self._wake = settings, warm, wake
        self._is_stopping, self._min_life_s = is_stopping, min_life_s
        self._start = Start(
            lock_directory=lock_directory, folder=settings.folder, allow=settings.allow, scratch=scratch
        )
        self._child: ChildProcess | None = None
        self._base_rss_mib: dict[Stage, float] = {}
        self._n_oom_kills, self._counted_at = 0, 0.0
        self.n_children = 0
        self.n_deaths = 0
        self.produced: Mapping[str, str] = {}

    def start(self) -> None:
        """Start the child ahead of the first evaluation."""
        self._ready_child()

    def evaluate(
        self,
        assignment: Assignment,
        recipe: Mapping[str, object],
        *,
        limit_s: float | None = None,
        on_long: Callable[[], None] = lambda: None,
    ) -> Outcome | None:
        """Carry out one evaluation.

        Args:
            assignment: what to do.
            recipe: of its study, as the store gave it.
            limit_s: wall seconds without pauses; None: the settings'.
            on_long: called once if it takes longer than 10 ms.

        Returns:
            The outcome; None where it was told to stop and report nothing.
        """
        began = time.monotonic()
        self.produced = {}
        child = self._ready_child()
        watch = _Watch(assignment.stage, assignment.device_kind, recipe, limit_s or self._settings.time_limit_s, began)
        messages = [assignment.to_json()]
        if child.known_recipes.get(assignment.study_id) is not recipe:
            if len(child.known_recipes) >= MOST_KEPT:
                child.known_recipes.clear()
            messages.insert(0, {"study": assignment.study_id, "recipe": dict(recipe)})
            child.known_recipes[assignment.study_id] = recipe
        try:
            child.send(messages)
            return self._await(child, watch, on_long)
        except (EOFError, OSError):
            return self._of_death(child, watch)

    def order(self, order: Order) -> None:
        """Tell the running evaluation, if there is one, what to do at its next step boundary."""
        child = self._child
        if child is not None:
            with contextlib.suppress(ValueError):  # it ended a moment ago
                child.control.order = order

    def progress(self) -> dict[str, object]:
        """How far the running evaluation is."""
        child = self._child
        with contextlib.suppress(ValueError):  # it ended a moment ago
            if child is not None:
                return {"step": child.control.step, "paused_s": round(child.control.paused_s, 3)}
        return {}

    def paused_s(self) -> float:
        """Of the running or last evaluation."""
        child = self._child
        with contextlib.suppress(ValueError):
            return 0.0 if child is None else child.control.paused_s
        return 0.0

    def kill(self) -> None:
        """Kill the child at once, from a signal handler too."""
        if self._child is not None:
            self._child.kill()

    def close(self) -> None:
        """End the child."""
        self._drop()

    def _await(self, child: ChildProcess, watch: _Watch, on_long: Callable[[], None]) -> Outcome | None:
        answer = child.wait(FIRST_TICK_S)
        if answer is None:
            on_long()
        while answer is None or "ready" in answer:
            self._tick(child, watch)
            answer = child.wait(TICK_S)
        child.n_evaluations += 1
        log = child.take_log()
        self._recycle(child, watch, is_worn="worn" in answer, used_torch="torch" in answer)
        if answer["kind"] == "stopped":
            return None
        self.produced = answer.get("produced", {})
        outcome = outcome_from_json(answer)
        return replace(outcome, log=(log + outcome.log)[-KEEP_LOG_BYTES:]) if log else outcome

    def _tick(self, child: ChildProcess, watch: _Watch) -> None:
        """Look after a running evaluation; kill it where it broke a limit or does not obey."""
        now = time.monotonic()
        if self._is_stopping():
            child.control.order = Order.STOP
        if child.control.order == Order.STOP:
            watch.told_at = watch.told_at or now
            if now - watch.told_at > self._settings.drain_s and not watch.is_stopped:
                watch.is_stopped = True
                child.kill()
        if watch.verdict is None and (found := self._over_limit(child, watch, now)):
            watch.verdict = found
            child.kill()
        if now - self._counted_at > _OOM_EVERY_S and child.is_alive():
            self._count_oom_kills()

    def _over_limit(self, child: ChildProcess, watch: _Watch, now: float) -> Verdict | None:
        if watch.running_since is None and child.control.is_running:
            watch.running_since = now
        if watch.running_since is None:
            if now - watch.began > START_LIMIT_S:
                text = f"the evaluating process was not ready after {START_LIMIT_S:.0f} s; is this machine overloaded?"
                return Verdict(OutcomeKind.FAILED, "child_start", text)
        elif now - watch.running_since - child.control.paused_s > watch.limit_s:
            return verdict.over_time(watch.limit_s)
        limit_mib = self._settings.memory_limit_mib
        if limit_mib is not None and (used_mib := child.rss_mib()) > limit_mib:
            return verdict.over_memory(used_mib, limit_mib)
        return None

    def _of_death(self, child: ChildProcess, watch: _Watch) -> Outcome | None:
        paused_s = child.control.paused_s
        oom_killed = n_oom_kills() > self._n_oom_kills
        self._child = None
        status = child.close(patience_s=5.0)  # a crash may take a while to be written down
        self.n_deaths += 1
        found = watch.verdict or verdict.of_death(
            status,
            runs_users_code=Recipe.read(watch.recipe).runs_users_code(watch.stage, watch.kind),
            oom_killed=oom_killed,
        )
        logger.warning(
            "evaluating process died",
            extra={"fields": {"reason": found.reason, "status": status, "stopped": watch.is_stopped}},
        )
        if watch.is_stopped:
            return None
        return Outcome(
            found.kind,
            reason=found.reason,
            message=found.message,
            violation=found.violation,
            log=child.take_log(),
            seconds={"evaluate": time.monotonic() - watch.began, "paused": paused_s},
        )

    def _ready_child(self) -> ChildProcess:
        if self._child is not None and not self._child.is_alive():
            self._drop()  # it died while it had nothing to do
        if self._child is None:
            self._child = ChildProcess(self._start, warm=self._warm, wake=self._wake)
            self._base_rss_mib.clear()
            self._count_oom_kills()
            self.n_children += 1
        self._child.control.reset()
        return self._child

    def _recycle(self, child: ChildProcess, watch: _Watch, *, is_worn: bool, used_torch: bool) -> None:
        """End the child where it leaks, is old or worn by users' code; the next evaluation gets a new one."""
        child.used_torch |= used_torch
        self._warm = child.used_torch  # a worker that trains wants torch in the next child too, any other does not
        age_s = time.monotonic() - child.born_at
        is_old = child.n_evaluations >= self._settings.recycle_after and age_s >= self._min_life_s
        is_sample = child.n_evaluations % 16 == 1 or time.monotonic() - watch.began > TICK_S
        grown_mib = 0.0
        if is_sample:
            rss_mib = child.rss_mib()
            grown_mib = rss_mib - self._base_rss_mib.setdefault(watch.stage, rss_mib)
        if is_old or is_worn or grown_mib > self._settings.recycle_rss_growth_mib:
            fields = {"n": child.n_evaluations, "grown_mib": round(grown_mib), "worn": is_worn}
            logger.info("child replaced", extra={"fields": fields})
            self._drop()

    def _count_oom_kills(self) -> None:
        self._counted_at, self._n_oom_kills = time.monotonic(), n_oom_kills()

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()
