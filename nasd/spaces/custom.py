"""The user's own space: [space.params] and constraints, over the generic engine.

What its networks cost is not known ahead: their module is the user's. Counts come from the built module instead.
"""

from __future__ import annotations

from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem
from nasd.domain.space import SearchSpace
from nasd.domain.study import Role, SpaceSpec
from nasd.errors import UserError
from nasd.spaces.parametric import Declaration, ParametricSpace, parameter_of
from nasd.spaces.parametric.nearest import nearest, placed

NAME = "custom"
_BASELINES = {"smallest": 0.0, "middle": 0.5, "largest": 1.0}


def build(spec: SpaceSpec, problem: Problem) -> ParametricSpace:  # noqa: ARG001 - the user's module judges shapes
    """The space that `spec.params` and `spec.constraints` declare.

    Raises:
        UserError: no parameter, a wrong one, or constraints that nothing satisfies.
    """
    if spec.preset is not None:
        raise UserError(f'space.preset = "{spec.preset}": a custom space has no presets. Remove the key')
    parameters = tuple(parameter_of(name, entry) for name, entry in spec.params.items())
    return ParametricSpace(Declaration(kind=NAME, parameters=parameters, constraints=spec.constraints))


def baselines(space: SearchSpace) -> tuple[tuple[str, Architecture], ...]:
    """The first, middle and last of every ordered choice and range; of unordered ones the first, of recipes the middle.

    They stand in for hand-made networks: the ends of the space and its middle, or what is nearest where that breaks a
    constraint. Equal ones are left out; "middle" stays.
    """
    if not isinstance(space, ParametricSpace):
        raise TypeError(f"baselines of a custom space, not of a {type(space).__name__}")
    found = {name: nearest(space, placed(space, share, role=Role.ARCHITECTURE)) for name, share in _BASELINES.items()}
    owner = {found[name].key: name for name in ("largest", "smallest", "middle")}  # the last to claim a key keeps it
    return tuple((name, each) for name, each in found.items() if owner[each.key] == name)
