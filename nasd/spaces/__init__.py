"""Concrete search spaces by kind: built from a study file's [space], with their hand-made baselines. No torch here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nasd.domain.architecture import Architecture
from nasd.domain.space import SearchSpace
from nasd.domain.study import SpaceSpec
from nasd.errors import NotBuiltYet, UserError
from nasd.spaces import mlp


@dataclass(frozen=True, slots=True)
class _Kind:
    build: Callable[[SpaceSpec, tuple[int, ...], int], SearchSpace]
    baselines: Callable[[SearchSpace], tuple[tuple[str, Architecture], ...]]


_KINDS: Mapping[str, _Kind] = {
    "mlp": _Kind(build=mlp.build, baselines=mlp.baselines),
}
_NOT_BUILT = ("cnn", "transformer", "custom")


def build(spec: SpaceSpec, *, input_shape: tuple[int, ...], n_outputs: int) -> SearchSpace:
    """The space that `spec` describes, for samples of `input_shape` and `n_outputs` logits.

    Raises:
        UserError: an unknown kind, or a narrowing that names what the space does not have.
        NotBuiltYet: a kind of the design that this version lacks.
    """
    return _kind(spec.kind).build(spec, input_shape, n_outputs)


def baselines(space: SearchSpace) -> tuple[tuple[str, Architecture], ...]:
    """Hand-made networks, (name, architecture), smallest first; in a narrowed space the nearest legal ones.

    Keys are distinct: where a narrow space makes two of them equal, one is left out ("medium" stays).
    """
    return _kind(space.name).baselines(space)


def _kind(name: str) -> _Kind:
    kind = _KINDS.get(name)
    if kind is not None:
        return kind
    if name in _NOT_BUILT:
        raise NotBuiltYet(f'space.kind = "{name}": not built in this version; built: {", ".join(_KINDS)}')
    raise UserError(f'space.kind = "{name}": no such space; known: {", ".join(_KINDS)}')
