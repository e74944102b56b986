"""The MLP space: depth, a width for every layer that exists, activation, normalisation and dropout.

A layer is Linear, normalisation, activation, dropout; the head is one Linear more (`nasd.nets.mlp` builds it).
Genes: {"layers": 3, "widths": [256, 128, 512], "activation": "gelu", "norm": "batchnorm", "dropout": 0.1}.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray

from nasd.domain.architecture import Architecture, Genes
from nasd.domain.data import Problem
from nasd.domain.decisions import Choices as Chosen
from nasd.domain.decisions import Decision
from nasd.domain.sequences import Sequences
from nasd.domain.space import SearchSpace
from nasd.domain.study import ParameterSpec, Role, Scalar, SpaceSpec
from nasd.errors import UserError
from nasd.spaces import mlp_decisions, mlp_moves
from nasd.spaces.mlp_moves import Choices, Net
from nasd.spaces.narrowing import Option, Options, legal, listed, narrow
from nasd.spaces.parametric import Declaration, ParametricSpace, parameter_of
from nasd.spaces.parametric.nearest import nearest as nearest_member
from nasd.spaces.with_recipe import WithRecipe

NAME = "mlp"
CHOICES: Mapping[str, Options] = {
    "layers": (2, 3, 4, 6, 8),
    "width": (128, 256, 512, 1024),
    "activation": ("relu", "gelu", "silu"),
    "norm": ("none", "batchnorm", "layernorm"),
    "dropout": (0.0, 0.1, 0.2, 0.3),
}
_GENES = ("layers", "widths", "activation", "norm", "dropout")
_BASELINES: Mapping[str, Net] = {
    "small": Net((128,) * 2, "relu", "none", 0.0),
    "medium": Net((256,) * 3, "relu", "batchnorm", 0.1),
    "large": Net((1024,) * 4, "gelu", "layernorm", 0.2),
}


@dataclass(frozen=True, slots=True)
class MlpSpace:
    """`nasd.domain.space.SearchSpace` over MLPs from `n_inputs` features to `n_outputs` logits."""

    n_inputs: int
    n_outputs: int
    choices: Choices

    @property
    def name(self) -> str:
        return NAME

    @property
    def size(self) -> int:
        """Depth decides how many widths exist: the sum over depths of n_widths ** depth, times the rest."""
        c = self.choices
        widths = sum(int(len(c.widths) ** depth) for depth in c.layers)
        return widths * len(c.activations) * len(c.norms) * len(c.dropouts)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Depth first, uniformly over depths (uniform over members would make 94 % of them eight layers deep)."""
        return _architecture(mlp_moves.sample(self.choices, rng))

    def mutate(self, parent: Architecture, rng: np.random.Generator) -> Architecture:
        """One change by meaning: a layer more, fewer or doubled, one width, or one of the network's other choices.

        Raises:
            SpaceExhausted: the space has one member.
        """
        return _architecture(mlp_moves.mutate(self.choices, _net(parent), rng))

    def crossover(self, mother: Architecture, father: Architecture, rng: np.random.Generator) -> Architecture:
        """Whole layers exchanged at equal relative depth; the child is as deep as one of the two."""
        return _architecture(mlp_moves.crossover(_net(mother), _net(father), rng))

    def canonical(self, genes: Genes) -> Architecture:
        """See `SearchSpace.canonical`; widths of layers beyond `layers` are dropped."""
        for name in genes:
            if name not in _GENES:
                raise ValueError(f"{name}: the mlp space has no such gene; its genes: {', '.join(_GENES)}")
        for name in _GENES:
            if name not in genes:
                raise ValueError(f"{name}: missing; an mlp needs {', '.join(_GENES)}")
        c = self.choices
        depth = cast("int", _option("layers", genes["layers"], c.layers))
        return _architecture(
            Net(
                self._widths(genes["widths"], depth),
                cast("str", _option("activation", genes["activation"], c.activations)),
                cast("str", _option("norm", genes["norm"], c.norms)),
                cast("float", _option("dropout", genes["dropout"], c.dropouts)),
            )
        )

    def _widths(self, value: object, depth: int) -> tuple[int, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError(f"widths = {value}: must be a list of {depth} widths")  # noqa: TRY004 - the space's contract
        if len(value) < depth:
            raise ValueError(f"widths = {list(value)}: layers = {depth} needs {depth} widths, not {len(value)}")
        options = self.choices.widths
        return tuple(cast("int", _option(f"widths[{i}]", width, options)) for i, width in enumerate(value[:depth]))

    def encode(self, architecture: Architecture) -> NDArray[np.float64]:
        """(deepest + n_activations + n_norms + 2,): depth, width of each layer (0: no such layer), choices, dropout.

        Depth is relative to the deepest; widths and dropout are ranks (widths are powers of two, so a rank is a
        logarithm); what has no order is one-hot.
        """
        c, net = self.choices, _net(architecture)
        deepest = max(c.layers)
        widths = [(c.widths.index(width) + 1) / len(c.widths) for width in net.widths]
        return np.array(
            [
                len(net.widths) / deepest,
                *widths,
                *[0.0] * (deepest - len(widths)),
                *(float(option == net.activation) for option in c.activations),
                *(float(option == net.norm) for option in c.norms),
                c.dropouts.index(net.dropout) / max(len(c.dropouts) - 1, 1),
            ],
            dtype=np.float64,
        )

    def decisions(self) -> tuple[Decision, ...]:
        """See `nasd.domain.decisions.Decided`."""
        return mlp_decisions.decisions(self.choices)

    def decided(self, architecture: Architecture) -> dict[str, Scalar]:
        """See `nasd.domain.decisions.Decided`."""
        return mlp_decisions.decided(self.choices, _net(architecture))

    def decide(self, choices: Chosen, rng: np.random.Generator) -> Architecture:
        """See `nasd.domain.decisions.Decided`: whatever is chosen goes together."""
        return _architecture(mlp_decisions.decide(self.choices, choices, rng))

    def sequences(self) -> Sequences:
        """See `nasd.domain.sequences.Sequential`."""
        return mlp_decisions.sequences(self.choices, self.canonical)

    def counts(self, architecture: Architecture) -> dict[str, int]:
        """Exact counts of one network.

        params: weights and biases of every Linear, scale and shift of every normalisation (BatchNorm's running
        statistics are buffers, not parameters).
        flops: one forward pass of one sample as `torch.utils.flop_counter.FlopCounterMode` counts it: 2 * inputs *
        outputs of every Linear; biases, normalisation, activation and dropout count nothing.
        active_params: as params; every weight is used by every sample.
        activation_bytes: float32 outputs of all layers for one sample: Linear, normalisation, activation, dropout.
        """
        net = _net(architecture)
        sizes = (self.n_inputs, *net.widths, self.n_outputs)
        weights = sum(a * b for a, b in pairwise(sizes))
        norm = 0 if net.norm == "none" else 2 * sum(net.widths)
        params = weights + sum(sizes[1:]) + norm
        n_outputs = (2 + (net.norm != "none") + (net.dropout > 0)) * sum(net.widths) + self.n_outputs
        return {"params": params, "flops": 2 * weights, "active_params": params, "activation_bytes": 4 * n_outputs}


def build(spec: SpaceSpec, problem: Problem) -> SearchSpace:
    """The MLP space narrowed by `spec.params`, with its recipe parameters beside it; inputs are flattened.

    Raises:
        UserError: inputs are tokens, `spec.params` names a choice or an option that the space does not have, a preset
            or a constraint.
    """
    if problem.vocabulary:
        raise UserError('space.kind = "mlp": takes numbers, and these data are tokens. Use kind = "transformer"')
    if spec.preset is not None:
        raise UserError(f'space.preset = "{spec.preset}": the mlp space has no presets. Remove the key')
    if spec.constraints:
        remedy = 'Narrow its choices instead, or declare the parameters yourself: kind = "custom"'
        raise UserError(f"space.constraints: the mlp space takes none. {remedy}")
    recipe = {name: entry for name, entry in spec.params.items() if entry.role is Role.RECIPE}
    networks = _networks(spec, problem, recipe)
    if not recipe:
        return networks
    parameters = tuple(parameter_of(name, entry) for name, entry in recipe.items())
    return WithRecipe(networks, ParametricSpace(Declaration(kind="recipe", parameters=parameters)))


def _networks(spec: SpaceSpec, problem: Problem, recipe: Mapping[str, ParameterSpec]) -> MlpSpace:
    kept = narrow(NAME, CHOICES, {name: entry for name, entry in spec.params.items() if name not in recipe})
    choices = Choices(
        layers=cast("tuple[int, ...]", kept["layers"]),
        widths=cast("tuple[int, ...]", kept["width"]),
        activations=cast("tuple[str, ...]", kept["activation"]),
        norms=cast("tuple[str, ...]", kept["norm"]),
        dropouts=cast("tuple[float, ...]", kept["dropout"]),
    )
    return MlpSpace(n_inputs=math.prod(problem.input_shape), n_outputs=problem.n_outputs, choices=choices)


def baselines(space: SearchSpace) -> tuple[tuple[str, Architecture], ...]:
    """See `nasd.spaces.baselines`."""
    if isinstance(space, WithRecipe):
        recipe = nearest_member(space.recipes, {})
        return tuple((name, space.joined(network, recipe)) for name, network in baselines(space.networks))
    if not isinstance(space, MlpSpace):
        raise TypeError(f"baselines of an mlp space, not of a {type(space).__name__}")
    nearest = {name: _architecture(mlp_moves.nearest(space.choices, net)) for name, net in _BASELINES.items()}
    owner = {nearest[name].key: name for name in ("large", "small", "medium")}  # the last to claim a key keeps it
    return tuple((name, architecture) for name, architecture in nearest.items() if owner[architecture.key] == name)


def _option(gene: str, value: object, options: Options) -> Option:
    option = legal(value, options)
    if option is None:
        raise ValueError(f"{gene} = {value}: not in this space; options: {listed(options)}")
    return option


def _architecture(net: Net) -> Architecture:
    return Architecture.of(
        NAME,
        {
            "layers": len(net.widths),
            "widths": net.widths,
            "activation": net.activation,
            "norm": net.norm,
            "dropout": net.dropout,
        },
    )


def _net(architecture: Architecture) -> Net:
    return Net(
        cast("tuple[int, ...]", architecture["widths"]),
        cast("str", architecture["activation"]),
        cast("str", architecture["norm"]),
        cast("float", architecture["dropout"]),
    )
