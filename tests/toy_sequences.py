"""The toy space as a sequence of decisions, written by hand as a user's own space would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasd.domain.architecture import Architecture
from nasd.domain.sequences import Choose, Kind, Open, Token

if TYPE_CHECKING:
    from toy_space import ToySpace

_NAMES = ("kind", "depth", "width", "kernel", "skip", "groups")


class ToySequences:
    """Kind and depth, a width (and kernel) a block, then the rest of what exists; single options are no decisions."""

    def __init__(self, space: ToySpace) -> None:
        self._space = space
        options = {
            "kind": ("dense", "conv"),
            "depth": tuple(range(1, space.max_depth + 1)),
            "width": space.widths,
            "kernel": space.kernels,
            "skip": (False, True),
            "groups": space.groups,
        }
        self._options: dict[str, tuple] = options
        self._numbers = {
            name: number for number, name in enumerate(name for name in _NAMES if len(options[name]) > 1)
        }  # fmt: skip
        places = {"width": space.max_depth, "kernel": space.max_depth}
        self.kinds = tuple(Kind(name, len(options[name]), places.get(name, 1)) for name in self._numbers)

    def walk(self, choose: Choose, rng: np.random.Generator) -> Architecture | None:
        return self._space.canonical(self._run(choose))

    def walked(self, architecture: Architecture) -> tuple[Token, ...] | None:
        genes = architecture.as_dict()
        genes["depth"] = len(genes["width"])
        tokens: list[Token] = []

        def choose(decision: Open) -> int:
            name = self.kinds[decision.kind].name
            gene = genes[name]
            value = gene[decision.place] if isinstance(gene, tuple) else gene
            tokens.append(Token(decision, self._options[name].index(value)))
            return tokens[-1].option

        self._run(choose)
        return tuple(tokens)

    def _run(self, choose: Choose) -> dict[str, object]:
        def taken(name: str, place: int = 0) -> object:
            options: Sequence = self._options[name]
            if len(options) == 1:
                return options[0]
            return options[choose(Open(self._numbers[name], place, (1.0,) * len(options)))]

        kind, depth = taken("kind"), taken("depth")
        genes: dict[str, object] = {"kind": kind, "width": [taken("width", at) for at in range(depth)]}
        if kind == "conv":
            genes["kernel"] = [taken("kernel", at) for at in range(depth)]
        if depth > 1:
            genes["skip"] = taken("skip")
        if kind == "conv":
            genes["groups"] = taken("groups")
        return genes
