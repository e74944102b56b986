"""What a search space is: which architectures are legal and how one becomes another."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nasd.domain.architecture import Architecture, Genes


class SearchSpace(Protocol):
    """The legal architectures of one family.

    Laws (tests/contract/test_spaces.py):
        * everything `sample`, `mutate` and `crossover` return is legal and canonical;
        * `canonical` is idempotent, drops genes of parts that don't exist, and gives equal results for equal networks;
        * `mutate` always changes the key; the same generator state gives the same child;
        * `encode` has the same length for every architecture, in [0, 1], and differs for different keys;
        * `counts`, where the family knows them, equal torch's own exactly.
    """

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int:
        """How many distinct architectures there are: exact, or an upper bound where counting would mean walking them.

        May be huge. Small spaces are always exact, so that a space is known to be exhausted.
        """
        ...

    def sample(self, rng: np.random.Generator) -> Architecture: ...

    def mutate(self, parent: Architecture, rng: np.random.Generator) -> Architecture: ...

    def crossover(self, mother: Architecture, father: Architecture, rng: np.random.Generator) -> Architecture: ...

    def canonical(self, genes: Genes) -> Architecture:
        """Validate `genes` and bring them to canonical form.

        Raises:
            ValueError: an unknown gene, a missing one, or a value outside the space; the message names gene and value.
        """
        ...

    def encode(self, architecture: Architecture) -> NDArray[np.float64]:
        """(d,) features in [0, 1]; inactive genes are 0."""
        ...

    def counts(self, architecture: Architecture) -> dict[str, int]:
        """Exact analytic counts without torch: `params`, `flops` (one forward pass, batch 1, multiply-add = 2), ...

        The same names for every architecture of a space; none where the module is the user's own.
        """
        ...
