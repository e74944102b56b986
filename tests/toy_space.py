"""A small conditional search space with exact counts and an analytic conflict between error and cost.

Small enough to enumerate by hand, conditional enough to catch a strategy that takes genes for a flat vector: kernels
and groups exist only in "conv", a skip only from two blocks on, and there is one width (and kernel) a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from math import exp, log2

import numpy as np
from numpy.typing import NDArray
from toy_sequences import ToySequences

from nasd.domain.architecture import Architecture, Genes
from nasd.domain.ids import LOCAL
from nasd.domain.objective import Objective, Source

OBJECTIVES = (
    Objective(name="val_error", unit="fraction", source=Source.TRAINED),
    Objective(name="params", unit="count", source=Source.COUNTED, is_log=True),
    Objective(name="latency_ms", unit="ms", source=Source.MEASURED, device=LOCAL, is_log=True),
    Objective(name="score", unit="", source=Source.REPORTED, sign=-1),
)


class ToySpace:
    """Up to `max_depth` blocks, each with one of `widths` and, in "conv", one of `kernels`."""

    def __init__(
        self,
        *,
        max_depth: int = 5,
        widths: tuple[int, ...] = (8, 16, 32, 64, 128),
        kernels: tuple[int, ...] = (1, 3, 5),
        groups: tuple[int, ...] = (1, 2, 4),
    ) -> None:
        self.max_depth, self.widths, self.kernels, self.groups = max_depth, widths, kernels, groups

    @property
    def name(self) -> str:
        return "toy"

    @property
    def size(self) -> int:
        return sum(
            (1 + (depth > 1)) * len(self.widths) ** depth * (1 + len(self.groups) * len(self.kernels) ** depth)
            for depth in range(1, self.max_depth + 1)
        )

    def sample(self, rng: np.random.Generator) -> Architecture:
        depth = int(rng.integers(1, self.max_depth + 1))
        return self._repaired("conv" if rng.random() < 0.5 else "dense", [(-1, -1)] * depth, {}, rng)

    def mutate(self, parent: Architecture, rng: np.random.Generator) -> Architecture:
        while True:
            child = self._mutated(parent, rng)
            if child.key != parent.key:
                return child

    def crossover(self, mother: Architecture, father: Architecture, rng: np.random.Generator) -> Architecture:
        first, second = (mother, father) if rng.random() < 0.5 else (father, mother)
        blocks, others = self._blocks(first), self._blocks(second)
        mixed = [
            others[index * len(others) // len(blocks)] if rng.random() < 0.5 else block
            for index, block in enumerate(blocks)
        ]
        return self._repaired(str(first["kind"]), mixed, first.as_dict(), rng)

    def canonical(self, genes: Genes) -> Architecture:
        kind, widths = genes.get("kind"), genes.get("width")
        if kind not in {"dense", "conv"}:
            raise ValueError(f"kind = {kind}: must be dense or conv")
        if not isinstance(widths, list | tuple) or not 1 <= len(widths) <= self.max_depth:
            raise ValueError(f"width = {widths}: must be 1 to {self.max_depth} widths")
        kept: dict[str, object] = {"kind": kind, "width": self._options("width", widths, self.widths)}
        if len(widths) > 1:
            kept["skip"] = self._options("skip", (genes["skip"],), (False, True))[0]
        if kind == "conv":
            kernels = genes["kernel"]
            if not isinstance(kernels, list | tuple) or len(kernels) != len(widths):
                raise ValueError(f"kernel = {kernels}: must be one for each of {len(widths)} blocks")
            kept["kernel"] = self._options("kernel", kernels, self.kernels)
            kept["groups"] = self._options("groups", (genes["groups"],), self.groups)[0]
        return Architecture.of(self.name, kept)

    def encode(self, architecture: Architecture) -> NDArray[np.float64]:
        blocks = self._blocks(architecture) + [(0, 0)] * self.max_depth
        genes = architecture.as_dict()
        head = [float(genes["kind"] == "conv"), float(genes.get("skip", 0)), genes.get("groups", 0) / max(self.groups)]
        tail = [
            part
            for width, kernel in blocks[: self.max_depth]
            for part in (width / max(self.widths), max(kernel, 0) / max(self.kernels))
        ]
        return np.array([*head, *tail])

    def sequences(self) -> ToySequences:
        return ToySequences(self)

    def counts(self, architecture: Architecture) -> dict[str, int]:
        genes, before, params = architecture.as_dict(), 16, 0
        for width, kernel in self._blocks(architecture):
            params += before * width * max(kernel, 1) // genes.get("groups", 1) + width
            before = width
        return {"params": params, "flops": 2 * params * (4 if genes["kind"] == "conv" else 1)}

    @staticmethod
    def _options(name: str, values: tuple, options: tuple) -> tuple:
        for value in values:
            if value not in options:
                raise ValueError(f"{name} = {value}: must be one of {options}")
        return tuple(values)

    def _blocks(self, architecture: Architecture) -> list[tuple[int, int]]:
        genes = architecture.as_dict()
        kernels = genes.get("kernel", (-1,) * len(genes["width"]))
        return list(zip(genes["width"], kernels, strict=True))

    def _mutated(self, parent: Architecture, rng: np.random.Generator) -> Architecture:
        genes, blocks = parent.as_dict(), self._blocks(parent)
        kind, at, move = str(genes["kind"]), int(rng.integers(len(blocks))), int(rng.integers(7))
        if move == 0 and len(blocks) < self.max_depth:
            blocks.insert(at, blocks[at])
        elif move == 1 and len(blocks) > 1:
            del blocks[at]
        elif move == 2:
            kind = "conv" if kind == "dense" else "dense"
        elif move == 3:
            genes.pop("groups", None)
        elif move == 4:
            genes.pop("skip", None)
        elif move == 5:
            blocks[at] = (blocks[at][0], -1)
        else:
            blocks[at] = (-1, blocks[at][1])
        return self._repaired(kind, blocks, genes, rng)

    def _repaired(self, kind: str, blocks: list, genes: Mapping, rng: np.random.Generator) -> Architecture:
        """Draw what is missing (-1, or an absent gene), in one fixed order."""
        drawn = [
            (
                width if width > 0 else self.widths[rng.integers(len(self.widths))],
                kernel if kernel > 0 else self.kernels[rng.integers(len(self.kernels))],
            )
            for width, kernel in blocks
        ]
        skip, groups = bool(rng.random() < 0.5), self.groups[rng.integers(len(self.groups))]
        return self.canonical(
            {
                "kind": kind,
                "width": [width for width, _ in drawn],
                "kernel": [kernel for _, kernel in drawn],
                "skip": genes.get("skip", skip),
                "groups": genes.get("groups", groups),
            }
        )


def evaluate(space: ToySpace, architecture: Architecture) -> dict[str, float]:
    """Values of OBJECTIVES: error falls with well-shaped capacity, everything else costs."""
    genes, params = architecture.as_dict(), space.counts(architecture)["params"]
    widths = genes["width"]
    is_conv, depth = genes["kind"] == "conv", len(widths)
    tapered = sum(after <= before for before, after in pairwise(widths)) / max(depth - 1, 1)
    kernel_fit = sum(kernel == 3 for kernel in genes.get("kernel", ())) / depth
    quality = log2(params) / 17 + 0.35 * tapered + 0.3 * is_conv * kernel_fit + 0.2 * genes.get("skip", False)
    error = 0.04 + 0.86 * exp(-1.9 * quality) + 0.02 * (int(architecture.key[:6], 16) / 0xFFFFFF)
    latency_ms = 0.05 * depth + params * (2.2 if is_conv else 1.0) / 20_000
    return {"val_error": error, "params": float(params), "latency_ms": latency_ms, "score": 1 - error - 0.01 * depth}
