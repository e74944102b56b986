"""The ends of a search space: its smallest and largest counts, which bound the hypervolume's box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.seeding import seed_of
from nasd.domain.space import SearchSpace


def count_extremes(
    space: SearchSpace, *, also: Sequence[Architecture] = (), n_samples: int = 2000, n_steps: int = 400
) -> dict[str, tuple[float, float]]:
    """The smallest and largest of each count in a space; the same at every call for the same space.

    A space that offers `extremes()` (name -> (smallest, largest)) is asked. Else they are searched: random samples,
    then greedy mutation from the best ones, which comes much nearer to the ends of a large space than samples alone.

    Args:
        also: architectures to take in whatever is drawn, such as the baselines.
        n_steps: mutations tried at each end of each count.
    """
    own = getattr(space, "extremes", None)
    if own is not None:
        return {str(name): (float(low), float(high)) for name, (low, high) in own().items()}
    rng = np.random.Generator(np.random.PCG64(seed_of("count_extremes", space.name)))
    seen = [*also, *(space.sample(rng) for _ in range(n_samples))]
    counts = [space.counts(architecture) for architecture in seen]
    found = {}
    for name in counts[0]:
        column = [row[name] for row in counts]
        low, high = (
            sign * _descend(space, seen[index], name, sign, n_steps=n_steps, rng=rng)
            for sign, index in ((1, int(np.argmin(column))), (-1, int(np.argmax(column))))
        )
        found[name] = (float(low), float(high))
    return found


def _descend(
    space: SearchSpace, start: Architecture, name: str, sign: int, *, n_steps: int, rng: np.random.Generator
) -> int:
    best, least = start, sign * space.counts(start)[name]
    for _ in range(n_steps):
        child = space.mutate(best, rng)
        value = sign * space.counts(child)[name]
        if value <= least:
            best, least = child, value
    return least
