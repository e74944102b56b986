"""The CNN space, in one or two dimensions: blocks with an operation each, one activation and one norm for all.

Genes are those of `nasd.nets.cnn`, which says what a block is; what a block's operation has no use for is None. A
`skip` block is an identity, so networks that differ only in where skips stand are one network: its canonical form has
them last, and no more blocks than the space needs to hold the others.

Considered and not taken for equal, though the functions are the same: two max pools in a row and the one larger pool
that they amount to, and a ReLU on either side of a max pool. They are different programs: their latency and memory
differ. Kernels that reach beyond a small map have weights of their own, so their networks differ as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import comb, prod
from typing import Any

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.domain.space import SearchSpace
from nasd.domain.study import Scalar, SpaceSpec
from nasd.errors import UserError
from nasd.spaces import cnn_counts
from nasd.spaces.parametric import (
    Choice,
    Declaration,
    Genes,
    IntRange,
    Parameter,
    ParametricSpace,
    Rule,
    narrowed,
)
from nasd.spaces.parametric.nearest import nearest_members

NAME = "cnn"
_CONVOLUTIONS = frozenset({"conv", "separable"})
_PER_BLOCK = ("op", "channels", "kernel", "stride", "residual", "se")
_GENES = ("blocks", *_PER_BLOCK, "activation", "norm")
_IS_CONVOLUTION = Rule(("op",), _CONVOLUTIONS.__contains__, each="blocks", says='op in ["conv", "separable"]')
_IS_THERE = Rule(("op",), lambda op: op != "skip", each="blocks", says='op != "skip"')
_HAS_CONVOLUTION = Rule(
    ("op",), lambda ops: not _CONVOLUTIONS.isdisjoint(ops), says="at least one block is conv or separable"
)


def _parameters(most_halvings: int) -> tuple[Parameter, ...]:
    each = partial(Parameter, each="blocks")
    return (
        Parameter(name="blocks", domain=IntRange(3, 8)),
        each(name="op", domain=Choice(("conv", "separable", "maxpool", "avgpool", "skip"), ordered=False)),
        each(name="channels", domain=Choice((32, 64, 128, 256), ordered=True), when=_IS_CONVOLUTION),
        each(name="kernel", domain=Choice((3, 5, 7), ordered=True), when=_IS_THERE),
        each(
            name="stride", domain=Choice((1, 2), ordered=True), when=_IS_THERE, weights=partial(_evenly, most_halvings)
        ),
        each(name="residual", domain=Choice((False, True), ordered=False), when=_IS_CONVOLUTION),
        each(name="se", domain=Choice((False, True), ordered=False), when=_IS_CONVOLUTION),
        Parameter(name="activation", domain=Choice(("relu", "gelu", "silu"), ordered=False)),
        Parameter(name="norm", domain=Choice(("none", "batchnorm", "layernorm"), ordered=False)),
    )


_PRESETS: Mapping[str, Mapping[str, IntRange | Choice]] = {
    "small": {"blocks": IntRange(3, 5), "channels": Choice((32, 64), ordered=True)},
}


class CnnSpace(ParametricSpace):
    """The CNNs for one problem.

    Raises:
        UserError: nothing satisfies the constraints.
    """

    def __init__(self, declaration: Declaration, problem: Problem) -> None:
        super().__init__(declaration)
        self.problem = problem


def build(spec: SpaceSpec, problem: Problem) -> CnnSpace:
    """The CNN space, its preset, narrowed by `spec.params`, of networks for `problem`.

    Inputs are (channels, length), (channels, height, width), or (features,), which are one channel of that length.

    Raises:
        UserError: inputs of another kind, an unknown preset, a narrowing that names what the space does not have.
    """
    _check_problem(problem)
    shortest = min(cnn_counts.map_shape(problem)[1:])
    most_halvings = max(shortest - 1, 1).bit_length() - 1
    parameters = narrowed(NAME, _preset(spec.preset, _parameters(most_halvings)), spec)
    options = {parameter.name: tuple(parameter.domain.values() or ()) for parameter in parameters}
    declaration = Declaration(
        kind=NAME,
        parameters=parameters,
        constraints=(_HAS_CONVOLUTION, _leaves_two_positions(shortest), *spec.constraints),
        normalise=partial(_skips_last, options["blocks"]),
        counts=partial(cnn_counts.counts, problem=problem),
        size=None if spec.constraints or len(parameters) > len(_GENES) else _size(options, most_halvings),
    )
    return CnnSpace(declaration, problem)


def baselines(space: SearchSpace) -> tuple[tuple[str, Architecture], ...]:
    """Separable, plain and residual; kernels of 5 in one dimension, 3 in two."""
    assert isinstance(space, CnnSpace)
    kernel = 5 if len(cnn_counts.map_shape(space.problem)) == 2 else 3
    return nearest_members(space, {name: _with_kernel(genes, kernel) for name, genes in _BASELINES.items()})


def _plain(op: str, channels: Sequence[int], strides: Sequence[int], *, residual: bool = False) -> Genes:
    n = len(channels)
    lists = {"op": [op] * n, "channels": channels, "stride": strides, "residual": [residual] * n, "se": [False] * n}
    return {"blocks": n, **lists, "activation": "relu", "norm": "batchnorm"}


_BASELINES: Mapping[str, Genes] = {
    "small": _plain("separable", (32,) * 3, (1, 2, 2)),
    "medium": _plain("conv", (32,) * 3, (1, 2, 2)),
    "large": _plain("conv", (64, 64, 128, 128, 256, 256), (1, 2, 1, 2, 1, 1), residual=True),
}


def _with_kernel(genes: Genes, kernel: int) -> Genes:
    return {**genes, "kernel": [kernel] * genes["blocks"]}


def _check_problem(problem: Problem) -> None:
    if problem.vocabulary or problem.task is Task.LM:
        raise UserError('space.kind = "cnn": takes numbers, and these data are tokens. Use kind = "transformer"')
    if not 1 <= len(problem.input_shape) <= 3:
        shape = list(problem.input_shape)
        raise UserError(
            f'space.kind = "cnn": takes inputs of 1 to 3 dimensions, (features), (channels, length) or (channels, '
            f'height, width), and these data have {shape}. Reshape them, or use kind = "mlp"'
        )


def _preset(name: str | None, parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    if name is None:
        return parameters
    domains = _PRESETS.get(name)
    if domains is None:
        raise UserError(f'space.preset = "{name}": the cnn space has no such preset; known: {", ".join(_PRESETS)}')
    return tuple(replace(each, domain=domains.get(each.name, each.domain)) for each in parameters)


def _leaves_two_positions(shortest: int) -> Rule:
    """ceil(n / product) is 2 or more exactly where the product is below n; an input of one position has no strides."""
    most = max(shortest - 1, 1)

    def holds(strides: Sequence[int | None]) -> bool:
        return (1 << strides.count(2)) <= most

    return Rule(("stride",), holds, says=f"strides multiply to at most {most}, for inputs {shortest} wide")


def _evenly(most_halvings: int, known: Mapping[str, Any], options: Sequence[Scalar]) -> list[int]:
    """Weights that make every legal sequence of strides equally likely: the legal ways to go on after each option.

    Drawn blindly, nearly all sequences would halve a small input too often; mended afterwards, ends would be favoured.
    """
    before, ops = known["stride"], known["op"]
    n_after = sum(op != "skip" for op in ops[len(before) + 1 :])
    n_left = most_halvings - before.count(2)
    return [_n_subsets(n_after, n_left - (option == 2)) for option in options]


def _n_subsets(n: int, most: int) -> int:
    """Subsets of `n` with at most `most` members."""
    return sum(comb(n, size) for size in range(most + 1))


def _size(options: Mapping[str, tuple[Scalar, ...]], most_halvings: int) -> int:
    """Canonical forms, by their number of blocks that are no skips and of those with stride 2."""
    kinds = len(_CONVOLUTIONS.intersection(options["op"]))
    pools = len({"maxpool", "avgpool"}.intersection(options["op"])) * len(options["kernel"])
    convolutions = kinds * prod(len(options[name]) for name in ("channels", "kernel", "residual", "se"))
    depths = options["blocks"]
    if "skip" in options["op"]:
        depths = tuple(range(1, max(int(n) for n in depths) + 1))
    sequences = 0
    for depth in (int(n) for n in depths):
        patterns = sum(
            comb(depth, n) * (2 in options["stride"]) ** n * (1 in options["stride"]) ** (depth - n)
            for n in range(min(depth, most_halvings) + 1)
        )
        sequences += patterns * ((convolutions + pools) ** depth - pools**depth)
    return sequences * len(options["activation"]) * len(options["norm"])


def _skips_last(allowed: tuple[Any, ...], genes: Genes) -> Genes:
    """The canonical form: see the module's docstring."""
    ops = genes["op"]
    kept = [at for at, op in enumerate(ops) if op != "skip"]
    blocks = min(n for n in allowed if n >= len(kept))
    if blocks == len(ops) and kept == list(range(len(kept))):
        return genes
    n_skips = blocks - len(kept)
    for name in _PER_BLOCK:
        genes[name] = [genes[name][at] for at in kept] + ["skip" if name == "op" else None] * n_skips
    genes["blocks"] = blocks
    return genes
