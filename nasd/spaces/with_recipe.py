"""A space beside searched training settings: every member is a network of the one and a recipe of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasd.domain.architecture import Architecture, Genes
from nasd.domain.decisions import Choices, Decided, Decision
from nasd.domain.sequences import Sequences, Sequential
from nasd.domain.space import SearchSpace
from nasd.domain.study import Scalar
from nasd.errors import SpaceExhausted
from nasd.spaces.parametric import ParametricSpace
from nasd.spaces.tokens import JoinedSequences


@dataclass(frozen=True, slots=True)
class WithRecipe:
    """`nasd.domain.space.SearchSpace`: genes of `networks` and `recipes` side by side, under the former's name."""

    networks: SearchSpace
    recipes: ParametricSpace

    @property
    def name(self) -> str:
        return self.networks.name

    @property
    def size(self) -> int:
        return self.networks.size * self.recipes.size

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Both, independently."""
        return self.joined(self.networks.sample(rng), self.recipes.sample(rng))

    def mutate(self, parent: Architecture, rng: np.random.Generator) -> Architecture:
        """One of the two changes, more often the one with more genes.

        Raises:
            SpaceExhausted: there is one network and one recipe.
        """
        network, recipe = self._parts(parent)
        n_settings = len(recipe.genes)
        changes_recipe = rng.random() * len(parent.genes) < n_settings
        try:
            return self._changed(network, recipe, rng, changes_recipe=changes_recipe)
        except SpaceExhausted:
            return self._changed(network, recipe, rng, changes_recipe=not changes_recipe)

    def crossover(self, mother: Architecture, father: Architecture, rng: np.random.Generator) -> Architecture:
        """Both, each as its own space does it."""
        (network, recipe), (other_network, other_recipe) = self._parts(mother), self._parts(father)
        return self.joined(
            self.networks.crossover(network, other_network, rng), self.recipes.crossover(recipe, other_recipe, rng)
        )

    def canonical(self, genes: Genes) -> Architecture:
        """See `SearchSpace.canonical`."""
        settings = {name: value for name, value in genes.items() if name in self.recipes.layout.by_name}
        others = {name: value for name, value in genes.items() if name not in settings}
        return self.joined(self.networks.canonical(others), self.recipes.canonical(settings))

    def encode(self, architecture: Architecture) -> NDArray[np.float64]:
        """The network's features, then the recipe's."""
        network, recipe = self._parts(architecture)
        return np.concatenate([self.networks.encode(network), self.recipes.encode(recipe)])

    def counts(self, architecture: Architecture) -> dict[str, int]:
        """The network's."""
        return self.networks.counts(self._parts(architecture)[0])

    def decisions(self) -> tuple[Decision, ...]:
        """See `nasd.domain.decisions.Decided`: the network's, then the recipe's."""
        return (*self._decided_networks.decisions(), *self.recipes.decisions())

    def decided(self, architecture: Architecture) -> dict[str, Scalar]:
        """See `nasd.domain.decisions.Decided`."""
        network, recipe = self._parts(architecture)
        return {**self._decided_networks.decided(network), **self.recipes.decided(recipe)}

    def decide(self, choices: Choices, rng: np.random.Generator) -> Architecture:
        """See `nasd.domain.decisions.Decided`."""
        return self.joined(self._decided_networks.decide(choices, rng), self.recipes.decide(choices, rng))

    def sequences(self) -> Sequences:
        """See `nasd.domain.sequences.Sequential`: the network's decisions, then the recipe's."""
        if not isinstance(self.networks, Sequential):
            raise TypeError(f"space {self.name} offers no sequences")
        first, second = self.networks.sequences(), self.recipes.sequences()
        return JoinedSequences(first, second, joined=self.joined, parts=self._parts)

    @property
    def _decided_networks(self) -> Decided:
        if not isinstance(self.networks, Decided):
            raise TypeError(f"space {self.name} offers no decisions")
        return self.networks

    def joined(self, network: Architecture, recipe: Architecture) -> Architecture:
        """A member from its two parts."""
        return Architecture.of(self.name, {**network.as_dict(), **recipe.as_dict()})

    def _parts(self, architecture: Architecture) -> tuple[Architecture, Architecture]:
        settings = self.recipes.layout.by_name
        network = {name: value for name, value in architecture.genes if name not in settings}
        recipe = {name: value for name, value in architecture.genes if name in settings}
        return Architecture.of(self.name, network), Architecture.of(self.recipes.name, recipe)

    def _changed(
        self, network: Architecture, recipe: Architecture, rng: np.random.Generator, *, changes_recipe: bool
    ) -> Architecture:
        if changes_recipe:
            return self.joined(network, self.recipes.mutate(recipe, rng))
        return self.joined(self.networks.mutate(network, rng), recipe)
