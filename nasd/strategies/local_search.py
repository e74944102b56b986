"""Pareto local search: the one-edit neighbours of what nothing beats, until all of them are known; then a fresh start.

Explored next is the member of the archive, the front of all results, that has had the fewest neighbours proposed. So
the whole front advances together, and a neighbour that enters is explored at once: where it beats its parent, the
parent has left the archive and its other neighbours with it (first improvement). Where all of the archive is explored,
a random architecture starts a new run, whose own front is explored in the same way, though older runs may beat it all.

Everything is a function of which trials there are and of what they are worth now; the order of results does not matter.

Source: Paquete et al. 2004, Pareto local optimum sets; White et al. 2021, local search for NAS; Phan and Luong 2023,
Pareto local search is competitive with evolutionary algorithms for multi-objective NAS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.history import History, Proposal
from nasd.domain.ids import LearnedSeq, TrialNumber
from nasd.domain.objective import Objective
from nasd.domain.seeding import pick, seed_of
from nasd.domain.space import SearchSpace
from nasd.errors import SpaceExhausted
from nasd.strategies.archive import Archive
from nasd.strategies.fresh import unproposed

_NEIGHBOUR = "neighbour"
_RESTART = "restart"  # the sample that begins a new run
_FREE_DRAWS = 8  # neighbours drawn at random before they are walked through one by one
_PATIENCE = 2  # times as many draws in a row without a new neighbour as there are known ones: there are no others
_LEAST_PATIENCE = 24


class LocalSearch:
    """Neighbours of the least explored member of the archive; samples where there is none left to explore.

    A space can't list an architecture's neighbours, so they are drawn: with the trial's generator first and, where all
    of those were proposed before, in a sequence that is the architecture's own (`_Neighbours`).
    """

    name = "local-search"
    version = "local-search-1"

    def __init__(self, space: SearchSpace, objectives: Sequence[Objective]) -> None:
        self._space = space
        self._objectives = tuple(objectives)
        self._start(None)

    def propose(self, history: History, trial_number: int, rng: np.random.Generator) -> Proposal:  # noqa: ARG002 - the rng is keyed by it
        """A neighbour of an archive's member, else a random architecture.

        Raises:
            SpaceExhausted: every architecture of the space was proposed.
        """
        self._follow(history)
        for archive in (self._archive, self._run):
            proposal = self._explore(archive, history, rng)
            if proposal is not None:
                return proposal
        operator = _RESTART if self._run.members() else "sample"  # a run without results yet goes on sampling
        return Proposal(architecture=unproposed(self._space, history, rng), operator=operator)

    def cache(self) -> tuple[LearnedSeq, dict[str, object]] | None:
        """Nothing is worth keeping: the rows give the archive in one pass."""
        return None

    def restore(self, learned_seq: LearnedSeq, state: dict[str, object]) -> None:
        """Nothing was kept."""

    def _start(self, history: History | None) -> None:
        self._history = history
        self._archive = Archive(len(self._objectives))
        self._run = self._archive  # the front of what was proposed since the last restart
        self._n_trials = 0  # whose parents were counted
        self._n_children: Counter[TrialNumber] = Counter()
        self._explored: set[TrialNumber] = set()  # all their neighbours were proposed, and stay so
        self._walks: dict[TrialNumber, _Neighbours] = {}

    def _follow(self, history: History) -> None:
        if history is not self._history or self._n_trials > len(history):
            self._start(history)
        for number in range(self._n_trials, len(history)):
            operator = history.operators[number]
            if operator == _NEIGHBOUR:
                self._n_children.update(history.parents[number])
            elif operator == _RESTART:
                self._run = Archive(len(self._objectives), first=number)
        self._n_trials = len(history)
        self._archive.follow(history)
        self._run.follow(history)

    def _explore(self, archive: Archive, history: History, rng: np.random.Generator) -> Proposal | None:
        """A neighbour of the archive's least explored member; None where it has none that is not explored."""
        left = [number for number in archive.members() if number not in self._explored]
        while left:
            fewest = min(self._n_children[number] for number in left)
            member = pick([number for number in left if self._n_children[number] == fewest], rng)
            neighbour = self._neighbour(member, history, rng)
            if neighbour is not None:
                return Proposal(architecture=neighbour, operator=_NEIGHBOUR, parents=(member,))
            self._explored.add(member)
            left.remove(member)
        return None

    def _neighbour(self, member: TrialNumber, history: History, rng: np.random.Generator) -> Architecture | None:
        """A neighbour that was not proposed yet; None where none is left."""
        parent = history.architectures[member]
        try:
            for _ in range(_FREE_DRAWS):
                drawn = self._space.mutate(parent, rng)
                if history.number_of(drawn.key) is None:
                    return drawn
            walk = self._walks.setdefault(member, _Neighbours(self._space, parent))
            found = walk.first_unproposed(history)
        except SpaceExhausted:  # the space's only member has no neighbours
            return None
        if found is None:
            del self._walks[member]
        return found


class _Neighbours:
    """An architecture's neighbours, in an order that its key alone decides, drawn as far as anybody asked.

    They end where many draws in a row gave no new one, which is a property of the architecture too: so whether all of
    them were proposed follows from the history, whoever asked before and how often.
    """

    def __init__(self, space: SearchSpace, parent: Architecture) -> None:
        self._space, self._parent = space, parent
        self._rng = np.random.Generator(np.random.PCG64(seed_of("neighbours", parent.key)))
        self._known: set[str] = set()
        self._newest: Architecture | None = None  # the only known one that may be unproposed
        self._n_in_vain = 0

    def first_unproposed(self, history: History) -> Architecture | None:
        """The first that the history does not hold; None where it holds all of them. Histories only grow."""
        while self._newest is None or history.number_of(self._newest.key) is not None:
            if self._n_in_vain >= max(_LEAST_PATIENCE, _PATIENCE * len(self._known)):
                return None
            drawn = self._space.mutate(self._parent, self._rng)
            if drawn.key in self._known:
                self._n_in_vain += 1
                continue
            self._known.add(drawn.key)
            self._newest, self._n_in_vain = drawn, 0
        return self._newest
