"""The transformer space: a classifier over patches, sequences or tokens, or a causal language model.

Genes (those that do not exist for a problem or a network are missing or null):

layers          how many times attention and feed-forward follow each other
d_model, heads  width of a token, and into how many parts attention cuts it
mlp_ratio       width of the feed-forward layer, in units of d_model
norm_position   "pre" or "post" of each residual branch
positions       "learned", "sinusoidal" (both added) or "rotary"
attention       "full"; "local" with `window`; "sparse" with `stride`; "linear" (`nasd.nets.transformer.attention`)
experts         "dense", or "mixture" with `n_experts`, each as wide as the dense layer, of which a token uses `top_k`
sharing         whose weights are one: of no layers ("none"), of layers 1 and 2, 3 and 4, ... ("pairs"), of "all"
activation, dropout
patch           of numbers as input: positions along each side that make one token
context         of sequences and texts: input positions that attend to one another; longer samples are cut into pieces
embedding       of tokens as input: width of their table, factorised where it is less than d_model

A language model's output is tied to its table: the weights are one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.domain.space import SearchSpace
from nasd.domain.study import Scalar, SpaceSpec
from nasd.domain.tokens import Tokens
from nasd.errors import UserError
from nasd.spaces import transformer_counts
from nasd.spaces.parametric import Choice, Declaration, Genes, Parameter, ParametricSpace, Rule, narrowed
from nasd.spaces.parametric.nearest import nearest_members
from nasd.spaces.transformer_options import PRESETS, Preset, contexts, patches, reaches

NAME = "transformer"
_Fits = Callable[[Any, tuple[Any, ...]], bool]  # an option, and what it must fit


class TransformerSpace(ParametricSpace):
    """The transformers for one problem.

    Raises:
        UserError: nothing satisfies the constraints.
    """

    def __init__(self, declaration: Declaration, problem: Problem, preset: str | None) -> None:
        super().__init__(declaration)
        self.problem, self.preset = problem, preset


def build(spec: SpaceSpec, problem: Problem) -> TransformerSpace:
    """The transformer space or its preset "small", narrowed by `spec.params`, of networks for `problem`.

    Raises:
        UserError: inputs of another kind, an unknown preset, a narrowing that names what the space does not have.
    """
    _check_problem(problem)
    preset = PRESETS.get(spec.preset)
    if preset is None:
        known = ", ".join(name for name in PRESETS if name)
        raise UserError(f'space.preset = "{spec.preset}": the transformer space has no such preset; known: {known}')
    parameters = narrowed(NAME, _parameters(preset, problem), spec)
    declaration = Declaration(
        kind=NAME,
        parameters=_fairly(parameters, problem),
        constraints=(*_constraints(parameters, problem), *spec.constraints),
        counts=partial(transformer_counts.counts, problem=problem),
    )
    return TransformerSpace(declaration, problem, spec.preset)


def baselines(space: SearchSpace) -> tuple[tuple[str, Architecture], ...]:
    """Pre-norm encoders (or decoders) with full attention, learned positions and no sharing, in three sizes."""
    assert isinstance(space, TransformerSpace)
    options = _options(space.declaration.parameters)
    context = max(options.get("context", ()), default=None)
    patch = min(options.get("patch", ()), key=lambda size: _from_usual(space.problem, size, context), default=None)
    named = {}
    for name, (layers, d_model, heads, dropout) in _SIZES[space.preset].items():
        sizes = {"layers": layers, "d_model": d_model, "heads": heads, "dropout": dropout, "embedding": d_model}
        named[name] = {**_PLAIN, **sizes, "patch": patch, "context": context}
    return nearest_members(space, named)


_PLAIN: Genes = {
    "mlp_ratio": 4, "norm_position": "pre", "positions": "learned", "attention": "full", "experts": "dense",
    "sharing": "none", "activation": "gelu",
}  # fmt: skip
_SIZES: Mapping[str | None, Mapping[str, tuple[int, int, int, float]]] = {
    None: {"small": (6, 512, 8, 0.0), "medium": (12, 768, 12, 0.1), "large": (24, 1024, 16, 0.1)},
    "small": {"small": (2, 32, 2, 0.0), "medium": (3, 64, 4, 0.0), "large": (6, 128, 8, 0.1)},
}


def _parameters(preset: Preset, problem: Problem) -> tuple[Parameter, ...]:
    """In drawing order: what others must fit comes first."""
    cuts = {"patch": patches(problem, most_tokens=preset.most_tokens), "context": contexts(problem)}
    if problem.vocabulary:
        cuts["embedding"] = tuple(sorted({*preset.embedding, *preset.d_model}))
    tokens = [
        Tokens.of(problem, patch=patch, context=context).together
        for patch, context in product(cuts["patch"] or (1,), cuts["context"] or (None,))
    ]
    windows, strides = reaches(preset.window, tokens), reaches(preset.stride, tokens)
    kinds = ("full", "local", "sparse", "linear") if windows else ("full", "linear")
    is_mixture = 'experts == "mixture"'
    parameters = [
        *(_ordered(name, cuts[name]) for name in ("patch", "context") if cuts[name]),
        _ordered("layers", preset.layers),
        _ordered("d_model", preset.d_model),
        _ordered("heads", preset.heads),
        *(_ordered(name, cuts[name]) for name in ("embedding",) if name in cuts),
        _ordered("mlp_ratio", (2, 4, 8)),
        _named("norm_position", ("pre", "post")),
        _named("positions", ("learned", "sinusoidal", "rotary")),
        _named("attention", kinds),
        _named("experts", ("dense", "mixture")),
        _ordered("n_experts", preset.n_experts, when=is_mixture),
        _ordered("top_k", (1, 2), when=is_mixture),
        _named("sharing", ("none", "pairs", "all")),
        _named("activation", ("relu", "gelu", "silu")),
        _ordered("dropout", (0.0, 0.1, 0.2)),
    ]
    if windows:
        parameters.append(_ordered("window", windows, when='attention == "local"'))
        parameters.append(_ordered("stride", strides, when='attention == "sparse"'))
    return tuple(parameters)


def _ordered(name: str, options: Sequence[int | float], *, when: str | None = None) -> Parameter:
    return Parameter(name=name, domain=Choice(tuple(options), ordered=True), when=when)


def _named(name: str, options: Sequence[str]) -> Parameter:
    return Parameter(name=name, domain=Choice(tuple(options), ordered=False))


def _constraints(parameters: Sequence[Parameter], problem: Problem) -> tuple[str | Rule, ...]:
    """Only those that something in these options can break."""
    options = _options(parameters)
    rules: list[str | Rule] = ["d_model % heads == 0"]
    if any(d % h == 0 and d // h % 2 for d, h in product(options["d_model"], options["heads"])):
        rules.append('positions != "rotary" or d_model // heads % 2 == 0')
    if 2 in options["layers"]:  # where pairs are all
        rules.append('sharing != "pairs" or layers > 2')
    if "embedding" in options:
        rules.append("embedding <= d_model")
    cuts = tuple(name for name in ("patch", "context") if name in options)
    for name in ("window", "stride"):
        if name in options:
            fits = _fits_tokens(cuts, problem)
            says = f"2 * {name} <= tokens that attend to one another"
            rules.append(Rule((name, *cuts), lambda size, *cut, fits=fits: size is None or fits(size, cut), says=says))
    return tuple(rules)


def _fits_tokens(cuts: tuple[str, ...], problem: Problem) -> _Fits:
    """Whether a window or stride is at most half of the tokens that values of `cuts` leave."""

    def fits(size: Any, cut: tuple[Any, ...]) -> bool:
        values = dict(zip(cuts, cut, strict=True))
        return bool(2 * size <= Tokens.of(problem, patch=values.get("patch"), context=values.get("context")).together)

    return fits


def _fairly(parameters: Sequence[Parameter], problem: Problem) -> tuple[Parameter, ...]:
    """Weights for what must fit another choice: 12 heads fit 768 alone, and would be drawn a sixteenth of the time."""
    options = _options(parameters)
    cuts = tuple(name for name in ("patch", "context") if name in options)
    fits: dict[str, tuple[tuple[str, ...], _Fits]] = {
        "heads": (("d_model",), lambda heads, given: given[0] % heads == 0),
        "embedding": (("d_model",), lambda width, given: width <= given[0]),
        "window": (cuts, _fits_tokens(cuts, problem)),
        "stride": (cuts, _fits_tokens(cuts, problem)),
    }
    return tuple(
        replace(parameter, weights=_weights(options[parameter.name], options, *fits[parameter.name]))
        if parameter.name in fits
        else parameter
        for parameter in parameters
    )


def _weights(
    own: Sequence[Scalar], options: Mapping[str, Sequence[Scalar]], given: tuple[str, ...], fits: _Fits
) -> Callable[[Mapping[str, Any], Sequence[Scalar]], list[float]]:
    """How likely each option is: the fewer values of `given` it fits, the likelier where it does."""
    wholes = list(product(*(options[name] for name in given)))
    n_fitting = {option: sum(fits(option, whole) for whole in wholes) for option in own}
    return lambda _, legal: [1 / n_fitting[option] for option in legal]


def _options(parameters: Sequence[Parameter]) -> dict[str, tuple[Any, ...]]:
    return {each.name: each.domain.options for each in parameters if isinstance(each.domain, Choice)}


def _from_usual(problem: Problem, patch: int, context: int | None) -> float:
    """How far a patch is, as a ratio, from 30 tokens: 16 rather than 64, and 49 rather than 16."""
    tokens = Tokens.of(problem, patch=patch, context=context).together
    return max(tokens / 30, 30 / tokens)


def _check_problem(problem: Problem) -> None:
    shape, where = list(problem.input_shape), 'space.kind = "transformer"'
    if problem.task is Task.LM and problem.vocabulary != problem.n_outputs:
        raise UserError(
            f"{where}: a language model reads and writes one vocabulary, and these data have {problem.vocabulary} "
            f"tokens in and {problem.n_outputs} out. Give vocabulary and outputs the same number"
        )
    if problem.vocabulary and len(shape) != 1:
        raise UserError(f"{where}: tokens come as (context), and these data have {shape}. Reshape them")
    if not 1 <= len(shape) <= 3:
        raise UserError(
            f"{where}: takes inputs of 1 to 3 dimensions, (features), (channels, length) or (channels, height, "
            f"width), and these data have {shape}. Reshape them"
        )
