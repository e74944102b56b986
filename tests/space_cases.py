"""The spaces that `contract/test_spaces.py` holds to the laws, each with a narrowing that leaves one member."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nasd import spaces
from nasd.domain.data import Problem, Task
from nasd.domain.space import SearchSpace
from nasd.domain.study import ParameterSpec, Role, Scalar, SpaceSpec

Params = Mapping[str, ParameterSpec | tuple[Scalar, ...]]
DIGITS = Problem(input_shape=(1, 8, 8), n_outputs=10)


@dataclass(frozen=True)
class Case:
    """A space to hold to the laws.

    Attributes:
        params: a tuple is short for a choice.
        one_member: the narrowing that leaves one member.
        middle: the baseline that stays where others become equal to it.
        is_counted: whether it knows counts.
    """

    kind: str
    params: Params = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    preset: str | None = None
    one_member: Params = field(default_factory=dict)
    problem: Problem = DIGITS
    middle: str = "medium"
    is_counted: bool = True
    n_samples: int = 10_000

    def space(self) -> SearchSpace:
        return self.built(self.params, self.constraints)

    def alone(self) -> SearchSpace:
        return self.built(self.one_member)

    def built(self, params: Params, constraints: tuple[str, ...] = ()) -> SearchSpace:
        entries = {
            name: entry if isinstance(entry, ParameterSpec) else ParameterSpec(choice=entry)
            for name, entry in params.items()
        }
        spec = SpaceSpec(kind=self.kind, preset=self.preset, params=entries, constraints=constraints)
        return spaces.build(spec, self.problem)


def custom(*constraints: str, **params: ParameterSpec | tuple[Scalar, ...]) -> Case:
    return Case(
        "custom",
        params=params,
        constraints=constraints,
        one_member={"x": (1,)},
        middle="middle",
        is_counted=False,
        n_samples=3000,
    )


_ONE_MLP = {"layers": (2,), "width": (128,), "activation": ("relu",), "norm": ("none",), "dropout": (0.0,)}
_ONE_CNN = {
    "blocks": (3,),
    "op": ("conv",),
    "channels": (32,),
    "kernel": (3,),
    "stride": (1,),
    "residual": (True,),
    "se": (False,),
    "activation": ("relu",),
    "norm": ("none",),
}
_ONE_TRANSFORMER = {
    "layers": (3,), "d_model": (48,), "heads": (3,), "mlp_ratio": (2,), "norm_position": ("post",),
    "positions": ("rotary",), "attention": ("full",), "experts": ("dense",), "sharing": ("pairs",),
    "activation": ("silu",), "dropout": (0.1,),
}  # fmt: skip
_ONE_OF_IMAGES = {**_ONE_TRANSFORMER, "patch": (2,)}
_ONE_OF_TEXTS = {**_ONE_TRANSFORMER, "embedding": (16,), "context": (20,)}
_TEXT = Problem(input_shape=(40,), n_outputs=30, vocabulary=30, task=Task.LM)
_LR = ParameterSpec(log_range=(1e-4, 1e-2), role=Role.RECIPE)
_BLOCKS = ParameterSpec(int_range=(1, 3))
SPACES = {
    "mlp": Case("mlp", one_member=_ONE_MLP),
    "mlp, narrowed": Case(
        "mlp",
        params={"layers": (3, 8), "width": (128, 1024), "activation": ("silu",), "dropout": (0.0, 0.3)},
        one_member=_ONE_MLP,
    ),
    "mlp, widths only": Case("mlp", params={**_ONE_MLP, "width": (256, 512)}, one_member=_ONE_MLP),
    "mlp and recipe": Case("mlp", params={"lr": _LR, "width": (128, 256)}, one_member=_ONE_MLP),
    "cnn": Case("cnn", one_member=_ONE_CNN),
    "cnn, small, 1-D": Case(
        "cnn", preset="small", one_member=_ONE_CNN, problem=Problem(input_shape=(2, 40), n_outputs=3)
    ),
    "cnn, narrowed": Case(
        "cnn",
        params={"blocks": (4, 7), "op": ("separable", "avgpool", "skip"), "kernel": (3, 7), "norm": ("layernorm",)},
        constraints=('op[-1] != "avgpool"', "blocks > 4"),
        one_member=_ONE_CNN,
        problem=Problem(input_shape=(64,), n_outputs=10),
        n_samples=3000,
    ),
    "cnn, few": Case(
        "cnn",
        params={**_ONE_CNN, "blocks": (3, 4), "op": ("conv", "skip"), "kernel": (3, 5)},
        one_member=_ONE_CNN,
        n_samples=1000,
    ),
    "transformer": Case(
        "transformer", one_member={**_ONE_OF_IMAGES, "layers": (6,), "d_model": (768,), "heads": (12,)}
    ),
    "transformer, small": Case("transformer", preset="small", one_member=_ONE_OF_IMAGES, n_samples=3000),
    "transformer, language": Case(
        "transformer", preset="small", one_member=_ONE_OF_TEXTS, problem=_TEXT, n_samples=3000
    ),
    "transformer, narrowed": Case(
        "transformer",
        params={"heads": (3, 8), "attention": ("local", "linear"), "layers": (2,), "experts": ("mixture",)},
        preset="small",
        one_member=_ONE_OF_TEXTS,
        problem=_TEXT,
        n_samples=3000,
    ),
    "custom, flat": custom(x=("a", "b", "c"), y=(1, 2, 3), z=(False, True)),
    "custom, as in the docs": custom(
        "width % groups == 0",
        blocks=ParameterSpec(int_range=(3, 8)),
        width=ParameterSpec(choice=(32, 64, 128), ordered=True),
        kernel=ParameterSpec(choice=(3, 5, 7), each="blocks"),
        groups=ParameterSpec(choice=(1, 4), when="blocks > 4", otherwise=1),
        lr=_LR,
    ),
    "custom, numbers": custom(
        "low < high", low=ParameterSpec(float_range=(-1.0, 1.0)), high=ParameterSpec(float_range=(0.0, 1.0)), n=(1, 2)
    ),
    "custom, conditions within blocks": custom(
        "sum(width) <= 8",
        "kernel <= width or op == 'pool'",
        blocks=_BLOCKS,
        op=ParameterSpec(choice=("conv", "pool", "skip"), each="blocks"),
        width=ParameterSpec(choice=(2, 4, 8), each="blocks", when="op == 'conv'"),
        kernel=ParameterSpec(choice=(3, 5), each="blocks", when="op != 'skip'", otherwise=0),
        head=ParameterSpec(choice=("flat", "mean"), when="any(op == 'conv')"),
    ),
    "custom, few legal": custom(
        "a * b == 12",
        "b != c",
        a=(1, 2, 3, 4, 6, 12),
        b=(1, 2, 3, 4, 6, 12),
        c=ParameterSpec(choice=(2, 3), when="a > 2"),
    ),
}
