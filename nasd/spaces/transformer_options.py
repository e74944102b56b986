"""What a transformer may be for one problem: presets, and patches, contexts, windows, strides that fit its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nasd.domain.data import Problem
from nasd.domain.tokens import channels_and_sides

_FEWEST = 4  # tokens that attend to one another, where the input leaves a choice
_MOST_PATCHES = 4  # options


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Options that depend on no problem, and those from which the ones that fit are taken.

    Attributes:
        embedding: widths of the token table beside those of d_model.
        most_tokens: of one sample, where patches can make them fewer.
    """

    layers: tuple[int, ...]
    d_model: tuple[int, ...]
    heads: tuple[int, ...]
    n_experts: tuple[int, ...]
    embedding: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    most_tokens: int


PRESETS: Mapping[str | None, Preset] = {
    None: Preset(
        layers=(6, 12, 24, 32),
        d_model=(512, 768, 1024, 2048),
        heads=(8, 12, 16, 32),
        n_experts=(4, 8),
        embedding=(128, 256),
        window=(16, 32, 64, 128),
        stride=(8, 16, 32),
        most_tokens=1024,
    ),
    "small": Preset(
        layers=(2, 3, 4, 6),
        d_model=(32, 48, 64, 96, 128),
        heads=(1, 2, 3, 4, 8),
        n_experts=(2, 4),
        embedding=(16,),
        window=(2, 4, 8, 16),
        stride=(2, 4, 8),
        most_tokens=256,
    ),
}


def contexts(problem: Problem) -> tuple[int, ...]:
    """The whole length and half of it, in positions of the input; nothing for images and tables of features."""
    if not problem.vocabulary and len(problem.input_shape) != 2:
        return ()
    length = problem.input_shape[-1]
    return (length // 2, length) if length % 2 == 0 and length // 2 >= 2 * _FEWEST else (length,)


def patches(problem: Problem, *, most_tokens: int) -> tuple[int, ...]:
    """Sizes that cut every side, and every context, without remainder: the smallest that leave few enough tokens.

    Nothing for inputs that are tokens already.
    """
    if problem.vocabulary:
        return ()
    _, sides = channels_and_sides(problem)
    lengths = contexts(problem) or sides
    dimensions = len(sides)
    options = [
        size
        for size in range(1, min(lengths) + 1)
        if all(length % size == 0 for length in lengths)
        and math.prod(side // size for side in sides) <= most_tokens
        and math.prod(length // size for length in (lengths if dimensions > 1 else lengths[:1])) >= _FEWEST
    ]
    return tuple(options[:_MOST_PATCHES]) or (1,)


def reaches(options: Sequence[int], tokens: Sequence[int]) -> tuple[int, ...]:
    """Windows or strides of at most half the tokens; nothing where these are too few.

    Those of `options` that fit a third of the numbers of `tokens` or more (else they would hardly ever be drawn), and
    for the least and the middle number, where none of `options` fits, the largest power of two that does.
    """
    ascending = sorted(tokens)
    if ascending[0] < _FEWEST:
        return ()
    fitting = {option for option in options if 3 * sum(2 * option <= n for n in tokens) >= len(tokens)}
    for n in (ascending[0], ascending[len(tokens) // 2]):
        if 2 * min(options) > n:
            fitting.add(1 << (n // 2).bit_length() - 1)
    return tuple(sorted(fitting))
