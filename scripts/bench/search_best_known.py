"""The best known front of a problem whose space is too large to be walked: a long search on its true values.

A reference, not a rival: it sees the true values and evaluates 400,000 networks. Kept in the temporary
folder, under the digest of what it was computed from.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from search_problems import Scoring, volume

from nasd.domain.architecture import Architecture
from nasd.domain.pareto import non_dominated
from nasd.domain.seeding import below
from nasd.spaces.parametric import ParametricSpace

ROUNDS = 1000
CHILDREN = 400  # a round: 400,000 evaluations
SAMPLES = 3000  # random ones, which say how large costs inside the bound are

True_ = Callable[[Architecture], NDArray[np.float64]]


def best_known(
    space: ParametricSpace, true: True_, *, bound: float, is_log: Iterable[bool], key: Sequence[object], seed: int = 0
) -> Scoring:
    """The box and the best known front's hypervolume in it; computed once for each `key`, in about two minutes.

    Args:
        true: (m,) true values of an architecture, the error first.
        bound: the largest error that is of use.
        key: what the values depend on.
    """
    digest = sha256(repr((*key, bound, ROUNDS, CHILDREN, SAMPLES, seed)).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / "nasd-bench" / f"front-{digest}.npz"
    if path.exists():
        with np.load(path) as kept:
            low, high, front = kept["low"], kept["high"], kept["front"]
    else:
        low, high, front = _searched(space, true, bound=bound, seed=seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}-{np.random.SeedSequence().entropy}.npz")  # two may compute it at once
        np.savez(partial, low=low, high=high, front=front)
        partial.replace(path)
    box = Scoring(low=low, high=high, is_log=np.array(tuple(is_log)))
    return Scoring(low=low, high=high, is_log=box.is_log, true=volume(box.normalise(front)))


def _searched(
    space: ParametricSpace, true: True_, *, bound: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The box's corners and the front, (n, m)."""
    rng = np.random.default_rng(seed)
    members = [space.sample(rng) for _ in range(SAMPLES)]
    rows = np.array([true(each) for each in members])
    high = rows[rows[:, 0] < bound].max(axis=0)
    high[0] = bound
    for _ in range(ROUNDS):
        children = [_child(space, each, members, rng) for each in _parents(members, rows, CHILDREN, rng)]
        members += children
        rows = np.vstack([rows, [true(each) for each in children]])
        keep = non_dominated(rows) & (rows[:, 0] < bound)
        _, first = np.unique(rows, axis=0, return_index=True)
        keep &= np.isin(np.arange(len(rows)), first)
        members = [each for each, kept in zip(members, keep, strict=True) if kept]
        rows = rows[keep]
    return rows.min(axis=0), high, rows


def _parents(
    members: list[Architecture], rows: NDArray[np.float64], n: int, rng: np.random.Generator
) -> list[Architecture]:
    """Half of them any members, half the best for a random direction, so that the ends of the front are bred too."""
    ranks = rows.argsort(axis=0).argsort(axis=0) / max(1, len(rows) - 1)
    chosen = [below(len(members), rng) for _ in range(n - n // 2)]
    weights = rng.dirichlet(np.full(rows.shape[1], 0.5), size=n // 2)
    chosen += [int((ranks * weight).max(axis=1).argmin()) for weight in weights]
    return [members[at] for at in chosen]


def _child(
    space: ParametricSpace, parent: Architecture, members: list[Architecture], rng: np.random.Generator
) -> Architecture:
    if rng.random() < 0.5:
        parent = space.crossover(parent, members[below(len(members), rng)], rng)
    child = space.mutate(parent, rng)
    return space.mutate(child, rng) if rng.random() < 0.3 else child
