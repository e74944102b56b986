"""ParametricSpace: `nasd.domain.space.SearchSpace` from a declaration. No family and no torch here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nasd.domain.architecture import Architecture, Genes
from nasd.domain.decisions import Choices, Decision
from nasd.domain.seeding import pick, seed_of
from nasd.domain.sequences import Sequences
from nasd.domain.study import Scalar
from nasd.errors import SpaceExhausted, UserError
from nasd.spaces.parametric import declare
from nasd.spaces.parametric.canonical import legal_genes, normal_form
from nasd.spaces.parametric.counting import MOST_WALKED, Size, members, size_of
from nasd.spaces.parametric.deciding import decided, decisions_of, draft_of
from nasd.spaces.parametric.declare import Declaration
from nasd.spaces.parametric.draw import complete
from nasd.spaces.parametric.encoding import Encoder
from nasd.spaces.parametric.layout import layout_of
from nasd.spaces.parametric.moves import mixed, moves_of, present
from nasd.spaces.tokens import ParametricSequences

_DRAWS = 400  # whole sets of genes, before a space is taken for nearly empty
_PROBES = 32  # drawn when a space is built, so that a condition that can't be computed is found then
_MOVES = 48  # tried before a mutation becomes a fresh sample
_CROSSINGS = 8
_DECIDINGS = 16  # ways to mend choices that contradict each other, of which the nearest is taken


class ParametricSpace:
    """The members of `declaration`.

    Raises:
        UserError: the declaration contradicts itself, or nothing seems to satisfy its constraints.
    """

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        self.layout = layout_of(declaration)
        self._moves = moves_of(self.layout)
        self._probe()

    @property
    def name(self) -> str:
        return self.declaration.kind

    @property
    def size(self) -> int:
        """See `SearchSpace.size`."""
        return self.counted.n

    @cached_property
    def counted(self) -> Size:
        """The number of members, and whether it is exact."""
        return size_of(self.declaration, self.layout)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Parameters in dependency order, each among the options that its constraints leave.

        Raises:
            UserError: hundreds of draws broke a constraint, and the space is too large to be walked.
        """
        for _ in range(_DRAWS):
            genes = complete(self.layout, {}, rng)
            if genes is not None and (member := self.finished(genes)) is not None:
                return member
        return pick(self._rare, rng)

    def mutate(self, parent: Architecture, rng: np.random.Generator) -> Architecture:
        """One change by meaning: a block more, fewer, doubled or swapped, or one gene, mostly by one step.

        What comes to exist by it is drawn, what ceases is dropped; what breaks a constraint is drawn anew.

        Raises:
            SpaceExhausted: the space has one member.
        """
        if self._moves is not None:
            genes = present(self.layout, parent.as_dict())
            for _ in range(_MOVES):
                draft = self._moves.draw(genes, rng)
                made = None if draft is None else complete(self.layout, draft.genes, rng, held=draft.held)
                child = None if made is None else self.finished(made)
                if child is not None and child.key != parent.key:
                    return child
        return self._other(parent, rng)

    def crossover(self, mother: Architecture, father: Architecture, rng: np.random.Generator) -> Architecture:
        """Whole blocks of either parent at equal relative depth, other genes of either; what then breaks is drawn anew.

        Parents that don't go together at all give a mutation of one of them.
        """
        parents = [present(self.layout, parent.as_dict()) for parent in (mother, father)]
        for _ in range(_CROSSINGS):
            genes = complete(self.layout, mixed(self.layout, parents[0], parents[1], rng), rng)
            if genes is not None and (child := self.finished(genes)) is not None:
                return child
        return self.mutate(pick((mother, father), rng), rng)

    def canonical(self, genes: Genes) -> Architecture:
        """See `SearchSpace.canonical`."""
        legal = legal_genes(self.name, self.layout, genes)
        normal, sentence = normal_form(self.declaration, self.layout, legal)
        if sentence:
            raise ValueError(f"{sentence}, in canonical form")
        return Architecture.of(self.name, normal)

    def encode(self, architecture: Architecture) -> NDArray[np.float64]:
        """See `SearchSpace.encode`."""
        return self._encoder.row(architecture.as_dict())

    def counts(self, architecture: Architecture) -> dict[str, int]:
        """See `SearchSpace.counts`; empty where the declaration knows none."""
        counts = self.declaration.counts
        return {} if counts is None else counts(architecture.as_dict())

    def decisions(self) -> tuple[Decision, ...]:
        """See `nasd.domain.decisions.Decided`."""
        return decisions_of(self.layout)

    def decided(self, architecture: Architecture) -> dict[str, Scalar]:
        """See `nasd.domain.decisions.Decided`."""
        return decided(self.layout, architecture.as_dict())

    def decide(self, choices: Choices, rng: np.random.Generator) -> Architecture:
        """See `nasd.domain.decisions.Decided`; of several ways to mend a contradiction that with the fewest changes.

        Raises:
            UserError: see `sample`.
        """
        draft, found, fewest = draft_of(self.layout, choices), None, 0
        for _ in range(_DECIDINGS):
            genes = complete(self.layout, draft, rng)
            member = None if genes is None else self.finished(genes)
            if member is not None:
                has = self.decided(member)
                n_changes = sum(value != choices.get(name, value) for name, value in has.items())
                if found is None or n_changes < fewest:
                    found, fewest = member, n_changes
                if not n_changes:
                    break
        return found or self.sample(rng)

    def sequences(self) -> Sequences:
        """See `nasd.domain.sequences.Sequential`."""
        return ParametricSequences(self.layout, self.finished)

    def finished(self, genes: declare.Genes) -> Architecture | None:
        """The member of legal genes, which it may change; None where its canonical form breaks a constraint."""
        normal, sentence = normal_form(self.declaration, self.layout, genes)
        return None if sentence else Architecture.of(self.name, normal)

    def _other(self, parent: Architecture, rng: np.random.Generator) -> Architecture:
        for _ in range(_DRAWS):
            child = self.sample(rng)
            if child.key != parent.key:
                return child
        if self.counted.n <= MOST_WALKED:
            for child in self._walked():
                if child.key != parent.key:
                    return child
        raise SpaceExhausted(f"the {self.name} space has one member: nothing can be mutated")

    def _walked(self) -> Iterator[Architecture]:
        """Every member, some more than once."""
        for genes in members(self.layout):
            member = self.finished(_copied(genes))
            if member is not None:
                yield member

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self.layout)

    @cached_property
    def _rare(self) -> list[Architecture]:
        """Every member of a small space that draws hardly ever meet."""
        found = []
        if self.counted.n <= MOST_WALKED:
            found = list(self._walked())
        if not found:
            raise UserError(self._emptiness())
        return found

    def _probe(self) -> None:
        rng = np.random.Generator(np.random.PCG64(seed_of("probe", self.name)))
        try:
            for _ in range(_PROBES):
                self.sample(rng)
        except ValueError as error:
            raise UserError(f"space.constraints: {error}") from error

    def _emptiness(self) -> str:
        rng, blame = np.random.Generator(np.random.PCG64(seed_of("emptiness", self.name))), Counter[str]()
        for _ in range(_DRAWS):
            complete(self.layout, {}, rng, blame=blame)
        [(says, n)] = blame.most_common(1)
        return (
            f"space.constraints: of {_DRAWS} draws none satisfies them all, {n} failed at {says}. "
            "Loosen that one, or give the parameters it reads more options"
        )


def _copied(genes: declare.Genes) -> declare.Genes:
    return {name: list(value) if isinstance(value, list) else value for name, value in genes.items()}
