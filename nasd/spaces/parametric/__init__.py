"""The generic engine: a search space from a declaration of parameters, conditions and constraints.

`declare` says what a space is; `layout` compiles it; `draw` completes genes; `moves` changes them; `canonical` checks
those from outside; `encoding` makes features of them; `counting` counts members; `narrow` reads [space.params].
"""

from nasd.spaces.parametric.declare import Declaration, Genes, Parameter, Rule, domain_of, parameter_of
from nasd.spaces.parametric.domains import Choice, FloatRange, IntRange
from nasd.spaces.parametric.narrow import narrowed
from nasd.spaces.parametric.space import ParametricSpace

__all__ = [
    "Choice",
    "Declaration",
    "FloatRange",
    "Genes",
    "IntRange",
    "Parameter",
    "ParametricSpace",
    "Rule",
    "domain_of",
    "narrowed",
    "parameter_of",
]
