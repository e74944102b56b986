"""Why a study stands still, in a sentence a person can act on. The view `nasd.studies` says the same of each study."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from nasd.controller.able import can_take, may_serve
from nasd.controller.stages import ENERGY, TORCH
from nasd.domain.ids import ANYWHERE, LOCAL
from nasd.domain.measurement import Stage
from nasd.ports.fleet import Waiting
from nasd.ports.trials import LiveWorker

MISSING_AFTER_S = 30.0


def stall_reason(
    waiting: Sequence[Waiting],
    workers: Sequence[LiveWorker],
    now: datetime,
    *,
    missing_after_s: float = MISSING_AFTER_S,
) -> str | None:
    """What keeps evaluations waiting; None while a live worker can take each of them.

    Args:
        waiting: evaluations that are queued.
        workers: registered ones, live or not.
        now: by the same clock as the workers' `last_seen_at` (the database's).
        missing_after_s: unseen for longer, a worker counts as gone.
    """
    live = [worker for worker in workers if now - worker.last_seen_at <= timedelta(seconds=missing_after_s)]
    counts: dict[str, int] = {}
    for each in waiting:
        what = _missing(each, live, workers, now) if each.n > 0 else None
        if what is not None:
            counts[what] = counts.get(what, 0) + each.n
    if not counts:
        return None
    reasons = [f"{n} {'evaluation waits' if n == 1 else 'evaluations wait'} for {what}" for what, n in counts.items()]
    return "; ".join(sorted(reasons) if live else ["no worker is alive", *sorted(reasons)])


def _missing(each: Waiting, live: Sequence[LiveWorker], known: Sequence[LiveWorker], now: datetime) -> str | None:
    """What these wait for that is not there; None where somebody can take them, or will once their file is made."""
    if each.lacks is not None:
        makes_files = any(TORCH in one.offers and Stage.EXPORT in one.stages for one in live if not one.is_draining)
        return None if makes_files else f"an export to {each.lacks} for {each.device_kind}, which no worker makes"
    if any(can_take(worker, each) for worker in live):
        return None
    of_kind = [worker for worker in live if each.device_kind in (worker.device_kind, ANYWHERE)]
    if not of_kind:
        return f"{each.device_kind}, {_last_seen(each, known, now)}"
    return _refused(each, [worker for worker in of_kind if not worker.is_draining])


def _refused(each: Waiting, workers: Sequence[LiveWorker]) -> str:
    """What workers of the right kind that go on lack."""
    where = "a worker" if each.device_kind == ANYWHERE else f"a worker on {each.device_kind}"
    if not workers:
        return f"{where} that is not draining"
    able = [worker for worker in workers if each.stage in worker.stages]
    if not able:
        return f"{where} that can {each.stage}"
    serving = [worker for worker in able if may_serve(worker, each.study_name, ())]
    if not serving:
        return f"{where} that serves {each.study_name}"
    allowed = [worker for worker in serving if may_serve(worker, each.study_name, each.packages)]
    if not allowed:
        return f"{where} that may run its code: nasd worker --allow {' --allow '.join(each.packages)}"
    if each.device_kind == ANYWHERE:
        return f"a worker that can {each.stage}{_also(each)}"
    return _lacking(each, allowed)


def _lacking(each: Waiting, serving: Sequence[LiveWorker]) -> str:
    """What those that do such work do not offer."""
    kind = each.device_kind
    offered = {word for worker in serving for word in worker.offers}
    lacking = [word for word in each.needs if word not in offered]
    if ENERGY in lacking:
        return f"an energy meter on {kind}: its workers have none"
    if lacking:
        return f"{lacking[0]} on {kind}: its workers don't offer it"
    return f"{each.needs_memory_mib} MiB of memory on {kind}: its workers have less"


def _also(each: Waiting) -> str:
    """What else it needs, beside the stage."""
    needs = [word for word in each.needs if word != TORCH]
    needs += [f"{each.needs_memory_mib} MiB of memory"] if each.needs_memory_mib else []
    return f" with {' and '.join(needs)}" if needs else ""


def _last_seen(each: Waiting, known: Sequence[LiveWorker], now: datetime) -> str:
    seen = [worker.last_seen_at for worker in known if worker.device_kind == each.device_kind]
    if seen:
        return f"last seen {ago(now - max(seen))} ago"
    if each.device_kind in (LOCAL, ANYWHERE):
        return "never seen; start one: nasd worker"
    return f"never seen; let one join: nasd device add NAME --kind {each.device_kind}"


def ago(span: timedelta) -> str:
    """A span in its largest whole unit: `40 s`, `12 min`, `3 h`, `2 d`."""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
