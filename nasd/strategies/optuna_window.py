"""Which trials a sampler is shown where all of them would take too long: a function of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

from nasd.strategies.optuna_view import Seen

_SORTING = NonDominatedSorting()
_MOST_SORTED = 4000


def best_and_latest(seen: Sequence[Seen], *, n_best: int, n_latest: int) -> list[Seen]:
    """The best feasible trials, rank by rank, and the latest of the others; all where there are no more than that.

    The last rank that fits in part gives its latest. Only the latest 4,000 are looked at.

    Args:
        seen: by number.

    Returns:
        n_best + n_latest at most, by number.
    """
    if len(seen) <= n_best + n_latest:
        return list(seen)
    seen = seen[-_MOST_SORTED:]
    best = _best(seen, n_best)
    rest = [at for at in range(len(seen)) if at not in best]
    return [seen[at] for at in sorted(best.union(rest[-(n_best + n_latest - len(best)) :]))]


def _best(seen: Sequence[Seen], n_best: int) -> set[int]:
    feasible = [at for at, each in enumerate(seen) if each.violation == 0]
    if len(feasible) <= n_best:
        return set(feasible)
    losses = np.array([seen[at].losses for at in feasible], dtype=np.float64)
    found: set[int] = set()
    for front in _SORTING.do(losses, n_stop_if_ranked=n_best):
        latest_first = sorted((feasible[row] for row in front.tolist()), reverse=True)
        found.update(latest_first[: n_best - len(found)])
    return found


def front_latest_and_spread(
    seen: Sequence[Seen], points: NDArray[np.float64], *, n_front: int, n_latest: int, most: int
) -> list[Seen]:
    """The best trials, the latest, and then, again and again, the one farthest from those; all where there are no more.

    Args:
        seen: by number.
        points: (n, d), where each lies.
        n_front: of the best at most: those that no other dominates, and where they are few the next ranks' too.

    Returns:
        `most` at most, by number.
    """
    if len(seen) <= most:
        return list(seen)
    seen, points = seen[-_MOST_SORTED:], points[-_MOST_SORTED:]
    chosen = _best(seen, n_front) | set(range(len(seen) - n_latest, len(seen)))
    nearest = np.full(len(seen), np.inf)
    for at in sorted(chosen):
        nearest = np.minimum(nearest, ((points - points[at]) ** 2).sum(axis=1))
    while len(chosen) < most:
        nearest[list(chosen)] = -1.0
        farthest = int(np.argmax(nearest))  # the earliest of equals
        chosen.add(farthest)
        nearest = np.minimum(nearest, ((points - points[farthest]) ** 2).sum(axis=1))
    return [seen[at] for at in sorted(chosen)]
