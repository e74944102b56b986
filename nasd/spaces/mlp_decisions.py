"""The MLP space as a flat list of decisions (`nasd.domain.decisions`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from nasd.domain.architecture import Architecture, Genes
from nasd.domain.decisions import Choices as Chosen
from nasd.domain.decisions import Decision, Options
from nasd.domain.seeding import pick
from nasd.domain.sequences import Sequences
from nasd.domain.study import Scalar
from nasd.spaces.mlp_moves import Choices, Net
from nasd.spaces.parametric import Choice, Declaration, Parameter
from nasd.spaces.parametric.layout import layout_of
from nasd.spaces.tokens import ParametricSequences


def decisions(choices: Choices) -> tuple[Decision, ...]:
    """Depth, a width for every layer that any network has, and the other choices; without what has one option."""
    shallowest = min(choices.layers)
    return tuple(
        Decision(name, Options(tuple(options), is_ordered), is_optional=at >= shallowest)
        for name, options, is_ordered, at in _all(choices)
        if len(options) > 1
    )


def decided(choices: Choices, net: Net) -> dict[str, Scalar]:
    """What was decided of a network."""
    values: dict[str, Scalar] = {
        "layers": len(net.widths),
        **{f"widths[{at}]": width for at, width in enumerate(net.widths)},
        "activation": net.activation,
        "norm": net.norm,
        "dropout": net.dropout,
    }
    varying = {name for name, options, _, _ in _all(choices) if len(options) > 1}
    return {name: value for name, value in values.items() if name in varying}


def decide(choices: Choices, chosen: Chosen, rng: np.random.Generator) -> Net:
    """The network of these choices; what was not chosen is drawn."""

    def taken(name: str, options: Sequence[Any]) -> Any:
        value = chosen.get(name)
        return value if value in options else pick(options, rng)

    depth = taken("layers", choices.layers)
    return Net(
        tuple(taken(f"widths[{at}]", choices.widths) for at in range(depth)),
        taken("activation", choices.activations),
        taken("norm", choices.norms),
        taken("dropout", choices.dropouts),
    )


def sequences(choices: Choices, canonical: Callable[[Genes], Architecture]) -> Sequences:
    """Depth first, then a width for each layer, then the other choices."""
    parameters = (
        Parameter(name="layers", domain=Choice(choices.layers, ordered=True)),
        Parameter(name="widths", domain=Choice(choices.widths, ordered=True), each="layers"),
        Parameter(name="activation", domain=Choice(choices.activations, ordered=False)),
        Parameter(name="norm", domain=Choice(choices.norms, ordered=False)),
        Parameter(name="dropout", domain=Choice(choices.dropouts, ordered=True)),
    )
    return ParametricSequences(layout_of(Declaration(kind="mlp", parameters=parameters)), canonical)


def _all(choices: Choices) -> Iterator[tuple[str, Sequence[Scalar], bool, int]]:
    """(name, options, whether ordered, how many layers a network has that lacks it)."""
    yield "layers", choices.layers, True, -1
    for at in range(max(choices.layers)):
        yield f"widths[{at}]", choices.widths, True, at
    yield "activation", choices.activations, False, -1
    yield "norm", choices.norms, False, -1
    yield "dropout", choices.dropouts, True, -1
