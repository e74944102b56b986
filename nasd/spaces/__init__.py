"""Concrete search spaces by kind: built from a study file's [space], with their hand-made baselines. No torch here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.domain.space import SearchSpace
from nasd.domain.study import SpaceSpec
from nasd.errors import UserError
from nasd.spaces import cnn, custom, mlp, transformer
from nasd.spaces.parametric import ParametricSpace
from nasd.spaces.with_recipe import WithRecipe


@dataclass(frozen=True, slots=True)
class _Kind:
    build: Callable[[SpaceSpec, Problem], SearchSpace]
    baselines: Callable[[SearchSpace], tuple[tuple[str, Architecture], ...]]


_KINDS: Mapping[str, _Kind] = {
    "cnn": _Kind(build=cnn.build, baselines=cnn.baselines),
    "custom": _Kind(build=custom.build, baselines=custom.baselines),
    "mlp": _Kind(build=mlp.build, baselines=mlp.baselines),
    "transformer": _Kind(build=transformer.build, baselines=transformer.baselines),
}


def build(spec: SpaceSpec, problem: Problem) -> SearchSpace:
    """The space that `spec` describes, of networks for `problem`.

    Raises:
        UserError: an unknown kind, data that it has no networks for, or a narrowing that names what it does not have.
    """
    return _kind(spec.kind).build(spec, problem)


def baselines(space: SearchSpace) -> tuple[tuple[str, Architecture], ...]:
    """Hand-made networks, (name, architecture), smallest first; in a narrowed space the nearest legal ones.

    Keys are distinct: where a narrow space makes two of them equal, one is left out ("medium" stays). Of a custom space
    they are its ends and its middle.
    """
    return _kind(space.name).baselines(space)


def is_size_exact(space: SearchSpace) -> bool:
    """Whether `space.size` is the number of its members, and not only a bound from above."""
    if isinstance(space, WithRecipe):
        return is_size_exact(space.networks) and is_size_exact(space.recipes)
    return not isinstance(space, ParametricSpace) or space.counted.is_exact


def _kind(name: str) -> _Kind:
    kind = _KINDS.get(name)
    if kind is None:
        raise UserError(f'space.kind = "{name}": no such space; known: {", ".join(_KINDS)}')
    return kind
