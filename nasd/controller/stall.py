"""Why a study stands still, in a sentence a person can act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from nasd.domain.ids import DeviceKind
from nasd.ports.trials import LiveWorker

MISSING_AFTER_S = 30.0


def stall_reason(
    waiting: Mapping[DeviceKind, int],
    workers: Sequence[LiveWorker],
    now: datetime,
    *,
    missing_after_s: float = MISSING_AFTER_S,
) -> str | None:
    """What keeps evaluations waiting; None while each kind that has some also has a live worker.

    Args:
        waiting: evaluations that could be leased now, by device kind.
        workers: registered ones, live or not.
        now: by the same clock as the workers' `last_seen_at` (the database's).
        missing_after_s: unseen for longer, a worker counts as gone.
    """
    reasons = []
    for kind in sorted(kind for kind, n in waiting.items() if n > 0):
        seen = [worker.last_seen_at for worker in workers if worker.device_kind == kind]
        if seen and now - max(seen) <= timedelta(seconds=missing_after_s):
            continue
        n = waiting[kind]
        last = f"last seen {ago(now - max(seen))} ago" if seen else "never seen; start one: nasd worker"
        reasons.append(f"{n} {'evaluation waits' if n == 1 else 'evaluations wait'} for {kind}, {last}")
    if not reasons:
        return None
    anyone = any(now - worker.last_seen_at <= timedelta(seconds=missing_after_s) for worker in workers)
    return "; ".join(reasons if anyone else ["no worker is alive", *reasons])


def ago(span: timedelta) -> str:
    """A span in its largest whole unit: `40 s`, `12 min`, `3 h`, `2 d`."""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
