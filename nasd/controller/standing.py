"""Standing still: whether something that should count upwards has stopped, by the observer's own monotonic time.

Clocks of other machines are never read, and a look that was long ago says nothing: after a start, a takeover or a
reconnect everything is counted afresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from nasd.ports.trials import LiveWorker, OpenLease

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Watched:
    """A counter as last seen.

    Attributes:
        since: monotonic seconds at which `counter` was first seen at this value.
        outlived: it was there already at the first look after a lost connection, and has not moved since.
    """

    counter: int
    since: float
    outlived: bool = False


@dataclass(frozen=True, slots=True)
class Standing(Generic[K]):
    """What an observer remembers between two looks.

    Attributes:
        after_outage: the next look is the first one since the database was away.
    """

    seen: Mapping[K, Watched] = field(default_factory=dict)
    after_outage: bool = False

    def look(self, now: float, counters: Mapping[K, int]) -> Standing[K]:
        """The memory after a look at `now`: moved and new counters start afresh, absent ones are forgotten."""
        seen: dict[K, Watched] = {}
        for key, counter in counters.items():
            old = self.seen.get(key)
            if old is not None and old.counter == counter:
                seen[key] = old
            else:
                seen[key] = Watched(counter=counter, since=now, outlived=self.after_outage and old is None)
        return Standing(seen=seen)

    def still_s(self, now: float, key: K) -> float:
        """Seconds for which `key` has not moved; 0.0 for one that was not seen."""
        watched = self.seen.get(key)
        return 0.0 if watched is None else now - watched.since


LeaseKey = tuple[int, str]  # evaluation and token


@dataclass(frozen=True, slots=True)
class Expiry:
    """What the reaper takes back.

    Attributes:
        spend: the worker stood still: an attempt is spent.
        spare: it stood still since an outage, which may be to blame: none is.
    """

    spend: tuple[OpenLease, ...]
    spare: tuple[OpenLease, ...]


def expired(now: float, watched: Standing[LeaseKey], leases: Sequence[OpenLease]) -> tuple[Expiry, Standing[LeaseKey]]:
    """Which of `leases` have not been renewed for their duration, and what to remember until the next look."""
    memory = watched.look(now, {(lease.evaluation_id, lease.token): lease.renewals for lease in leases})
    over = [lease for lease in leases if memory.still_s(now, _key(lease)) >= lease.duration_s]
    spend = tuple(lease for lease in over if not memory.seen[_key(lease)].outlived)
    spare = tuple(lease for lease in over if memory.seen[_key(lease)].outlived)
    return Expiry(spend=spend, spare=spare), memory


def live(
    now: float, watched: Standing[str], workers: Sequence[LiveWorker], *, within_s: float
) -> tuple[tuple[LiveWorker, ...], Standing[str]]:
    """The workers whose beats moved within `within_s`; one seen for the first time gets that long to beat again."""
    memory = watched.look(now, {worker.name: worker.beats for worker in workers})
    return tuple(worker for worker in workers if memory.still_s(now, worker.name) < within_s), memory


def afresh(watched: Standing[K]) -> Standing[K]:
    """Forget everything because the database was away."""
    return replace(watched, seen={}, after_outage=True)


def _key(lease: OpenLease) -> LeaseKey:
    return lease.evaluation_id, lease.token
