"""Decisions of a space that offers none: what samples and the history's architectures show of it.

Genes are taken apart to scalars; lists whose lengths never differed share one. What is chosen is put together again and
asked of the space; where it is no member, the nearest of some samples and their mutations is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from nasd.domain.architecture import Architecture, Gene
from nasd.domain.decisions import Choices, Decision, Options
from nasd.domain.seeding import pick, seed_of
from nasd.domain.space import SearchSpace
from nasd.domain.study import Scalar

_SAMPLES = 256  # that show the options
_DRAWS = 64  # of which the nearest member is taken
_STEPS = 64  # mutations of it, of which nearer ones are kept


class SeenSpace:
    """`nasd.domain.decisions.Decided` over any search space.

    What it knows is a set: the order in which architectures were shown changes nothing.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._options: dict[str, set[Scalar]] = {}
        self._always: set[str] = set()
        self._lists: set[str] = set()
        self._unlike: set[tuple[str, str]] = set()  # lists whose lengths differed
        rng = np.random.Generator(np.random.PCG64(seed_of("seen", space.name)))
        for at in range(_SAMPLES):
            self.see(space.sample(rng), is_first=at == 0)

    def see(self, architecture: Architecture, *, is_first: bool = False) -> None:
        """Take in what an architecture shows."""
        genes = architecture.as_dict()
        lengths = {name: len(value) for name, value in genes.items() if isinstance(value, tuple)}
        self._lists |= lengths.keys()
        pairs = combinations(sorted(lengths), 2)
        self._unlike |= {(one, other) for one, other in pairs if lengths[one] != lengths[other]}
        choices = self.decided(architecture)
        for name, value in choices.items():
            self._options.setdefault(name, set()).add(value)
        self._always = set(choices) if is_first else self._always & choices.keys()

    def decisions(self) -> tuple[Decision, ...]:
        """By name; grows as more is seen."""
        return tuple(
            Decision(name, _sorted(options), is_optional=name not in self._always)
            for name, options in sorted(self._options.items())
            if len(options) > 1
        )

    def decided(self, architecture: Architecture) -> dict[str, Scalar]:
        """See `Decided`; `len(gene)` is a list's length."""
        found: dict[str, Scalar] = {}
        for name, value in architecture.genes:
            found.update(_scalars(name, value))
            if isinstance(value, tuple):
                found[_length(self._like(name))] = len(value)
        return found

    def decide(self, choices: Choices, rng: np.random.Generator) -> Architecture:
        """See `Decided`."""
        full = {
            name: choices[name] if name in choices else pick(_sorted(self._options[name]).values, rng)
            for name in sorted(self._options)
        }
        genes: dict[str, Gene] = {name: value for name, value in full.items() if _is_scalar(name)}
        for name in sorted(self._lists):
            n = int(full.get(_length(self._like(name)), 0))
            genes[name] = tuple(full.get(f"{name}[{at}]") for at in range(n))
        try:
            return self._space.canonical(genes)
        except (ValueError, LookupError, TypeError):
            return self._nearest(choices, rng)

    def _nearest(self, choices: Choices, rng: np.random.Generator) -> Architecture:
        best = min((self._space.sample(rng) for _ in range(_DRAWS)), key=lambda each: self._distance(each, choices))
        for _ in range(_STEPS):
            child = self._space.mutate(best, rng)
            if self._distance(child, choices) < self._distance(best, choices):
                best = child
        return best

    def _distance(self, architecture: Architecture, choices: Choices) -> int:
        return sum(choices.get(name, value) != value for name, value in self.decided(architecture).items())

    def _like(self, name: str) -> str:
        """The first list that has always been as long as this one."""
        return next(each for each in sorted(self._lists | {name}) if each == name or (each, name) not in self._unlike)


def _is_scalar(name: str) -> bool:
    return not name.endswith((")", "]"))


def _length(name: str) -> str:
    return f"len({name})"


def _scalars(name: str, value: Gene) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, tuple):
        for at, item in enumerate(value):
            yield from _scalars(f"{name}[{at}]", item)
    elif value is not None:
        yield name, value


def _sorted(options: set[Scalar]) -> Options:
    is_ordered = all(isinstance(each, int | float) and not isinstance(each, bool) for each in options)
    if is_ordered:
        return Options(tuple(sorted(options, key=float)), is_ordered=True)
    return Options(tuple(sorted(options, key=lambda each: (type(each).__name__, str(each)))), is_ordered=False)
