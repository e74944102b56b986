"""The CNN space: which networks are one, what strides leave, how many members there are, what is refused."""

from collections import Counter
from dataclasses import replace
from itertools import permutations
from math import ceil, prod

import numpy as np
import pytest

from nasd import spaces
from nasd.domain.architecture import Genes
from nasd.domain.data import Problem, Task
from nasd.domain.study import ParameterSpec, Scalar, SpaceSpec
from nasd.errors import UserError
from nasd.nets import skeleton
from nasd.spaces import cnn
from nasd.spaces.parametric.counting import size_of

DIGITS = Problem(input_shape=(1, 8, 8), n_outputs=10)
SERIES = Problem(input_shape=(1, 40), n_outputs=10)
ONE = {"channels": (32,), "residual": (False,), "se": (False,), "activation": ("relu",), "norm": ("none",)}
_BLOCKS = {"conv": (64, 3, 1, True, False), "maxpool": (None, 3, 2, None, None), "skip": (None,) * 5}


def cnn_space(
    problem: Problem = DIGITS, *, preset: str | None = None, constraints: tuple[str, ...] = (), **params: tuple
) -> cnn.CnnSpace:
    narrowing = {name: ParameterSpec(choice=options) for name, options in params.items()}
    return cnn.build(SpaceSpec(kind="cnn", preset=preset, params=narrowing, constraints=constraints), problem)


def genes(*ops: str) -> Genes:
    lists = zip(*(_BLOCKS[op] for op in ops), strict=True)
    names = ("channels", "kernel", "stride", "residual", "se")
    return {
        "blocks": len(ops), "op": ops, **dict(zip(names, lists, strict=True)), "activation": "relu", "norm": "none",
    }  # fmt: skip


def test_networks_that_differ_in_where_skips_stand_are_one() -> None:
    """Each would be trained again, and a front would show one network five times."""
    space = cnn_space()
    orders = [order for order in set(permutations(("conv", "maxpool", "skip", "skip"))) if "conv" in order[:3]]
    same = {space.canonical(genes(*ops)).key for ops in orders if ops.index("conv") < ops.index("maxpool")}
    assert {space.canonical(genes("conv", "maxpool", "skip")).key} == same
    assert space.canonical(genes("maxpool", "conv", "skip")).key not in same


def test_the_fewest_blocks_that_the_space_allows_hold_the_others() -> None:
    """Five blocks with two skips are three blocks; where only 4 and 8 are allowed, four with a skip."""
    assert cnn_space().canonical(genes("conv", "skip", "conv", "skip", "conv"))["blocks"] == 3
    canonical = cnn_space(blocks=(4, 8)).canonical(genes(*["skip"] * 5, "conv", "maxpool", "conv"))
    assert (canonical["blocks"], canonical["op"]) == (4, ("conv", "maxpool", "conv", "skip"))


def test_the_users_constraints_hold_for_the_canonical_form() -> None:
    """What is stored and shown must satisfy what was asked for, whatever was drawn."""
    space, rng = cnn_space(constraints=("blocks >= 5", 'op[-1] != "skip"')), np.random.default_rng(0)
    for _ in range(100):
        mother, father = space.sample(rng), space.sample(rng)
        for member in (mother, space.mutate(mother, rng), space.crossover(mother, father, rng)):
            assert member["blocks"] >= 5  # type: ignore[operator]
            assert member["op"][-1] != "skip"  # type: ignore[index]
            assert member == space.canonical(member.as_dict())
    with pytest.raises(ValueError, match=r'blocks = 3: breaks the constraint "blocks >= 5", in canonical form'):
        space.canonical(genes("conv", "skip", "conv", "skip", "conv"))


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 32, 20), (1, 40), (9,), (2, 3), (1, 2, 30), (1, 1), (4, 1, 28)], ids=str
)
def test_strides_leave_two_positions_and_can_use_all_there_are(shape: tuple[int, ...]) -> None:
    """On one position a kernel of 7 sees nothing but padding; forbidding more would starve stride 2."""
    space, rng = cnn_space(Problem(input_shape=shape, n_outputs=2), blocks=(8,)), np.random.default_rng(0)
    shortest = min(shape[1:] or shape)
    strides = [prod(s for s in space.sample(rng)["stride"] if s) for _ in range(300)]  # type: ignore[union-attr,misc]
    left = [ceil(shortest / stride) for stride in strides]
    assert min(left) == min(2, shortest) or shortest > 2**8
    assert {2**n for n in range(9) if shortest > 2**n or n == 0} == set(strides)


def test_every_block_is_equally_likely_to_have_the_stride() -> None:
    """A small input has room for one or two; drawn in order and cut off, all would stand in front."""
    space, rng = cnn_space(blocks=(6,), op=("conv",)), np.random.default_rng(0)
    halved = Counter(at for _ in range(2000) for at, s in enumerate(space.sample(rng)["stride"]) if s == 2)  # type: ignore[arg-type]
    assert max(halved.values()) < 1.2 * min(halved.values())


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 4, 9), (1, 40), (3, 1)], ids=str)
@pytest.mark.parametrize(
    "params",
    [
        {**ONE, "blocks": (3,), "kernel": (3,)},
        {**ONE, "blocks": (3, 5), "op": ("conv", "maxpool", "skip"), "kernel": (3,), "se": (False, True)},
        {**ONE, "blocks": (3, 4), "op": ("separable", "avgpool"), "channels": (32, 64), "stride": (1,)},
        {**ONE, "blocks": (3,), "op": ("separable", "avgpool", "skip"), "stride": (2,), "norm": ("none", "layernorm")},
    ],
    ids=["ops", "skips", "no skip, no stride", "strides only"],
)
def test_size_is_the_number_of_canonical_forms(shape: tuple[int, ...], params: dict[str, tuple[Scalar, ...]]) -> None:
    """By formula in the space, by walking all members here: a strategy must know when nothing is left."""
    try:
        space = cnn_space(Problem(input_shape=shape, n_outputs=2), **params)
    except UserError:
        assert params.get("stride") == (2,)  # nothing fits: that is said at once
        return
    walked = size_of(replace(space.declaration, size=None), space.layout)
    assert walked.is_exact
    assert space.size == walked.n


def test_sampling_reaches_every_option_and_mutation_too() -> None:
    """An option that is never drawn was never searched."""
    space, rng = cnn_space(Problem(input_shape=(3, 32, 32), n_outputs=10)), np.random.default_rng(0)
    declared = {(p.name, value) for p in space.declaration.parameters for value in p.domain.values() or ()}
    member, seen = space.sample(rng), set()
    for _ in range(600):
        for architecture in (space.sample(rng), member := space.mutate(member, rng)):
            for name, value in architecture.genes:
                seen |= {(name, each) for each in (value if isinstance(value, tuple) else (value,))}
    assert declared == {(name, value) for name, value in seen if value is not None}


def test_baselines_are_the_hand_made_networks_or_the_nearest_to_them() -> None:
    """In a narrowed space a hand-made network must still be hand-made, not random."""
    medium = dict(spaces.baselines(cnn_space()))["medium"]
    assert (medium["op"], medium["channels"], medium["kernel"]) == (("conv",) * 3, (32,) * 3, (3,) * 3)
    assert dict(spaces.baselines(cnn_space(SERIES)))["medium"]["kernel"] == (5,) * 3
    sizes = [cnn_space().counts(a)["params"] for _, a in spaces.baselines(cnn_space())]
    assert sorted(sizes) == sizes
    assert [name for name, _ in spaces.baselines(cnn_space(preset="small"))] == ["small", "medium", "large"]
    narrow = dict(spaces.baselines(cnn_space(op=("separable", "maxpool"), blocks=(6,), channels=(128,))))
    assert all(a["op"] == ("separable",) * 6 and a["channels"] == (128,) * 6 for a in narrow.values())
    tiny = cnn_space(Problem(input_shape=(1, 3, 3), n_outputs=2))
    assert all(a["stride"].count(2) == 1 for _, a in spaces.baselines(tiny))  # type: ignore[union-attr]


def test_the_preset_is_the_same_space_with_fewer_options() -> None:
    """`small` is for one machine: it must not have what the whole space lacks."""
    small, whole, rng = cnn_space(preset="small"), cnn_space(), np.random.default_rng(0)
    for _ in range(100):
        member = small.sample(rng)
        assert member == whole.canonical(member.as_dict())
        assert member["blocks"] <= 5  # type: ignore[operator]
        assert {32, 64, None} >= set(member["channels"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("problem", "preset", "message"),
    [
        (Problem(input_shape=(64,), n_outputs=50, vocabulary=50), None, 'these data are tokens. Use kind = "transf'),
        (Problem(input_shape=(64,), n_outputs=50, vocabulary=50, task=Task.LM), None, "these data are tokens"),
        (Problem(input_shape=(3, 8, 8, 8), n_outputs=2), None, r"these data have \[3, 8, 8, 8\]. Reshape"),
        (DIGITS, "tiny", 'space.preset = "tiny": the cnn space has no such preset; known: small'),
    ],
)
def test_what_it_can_not_be_built_for_is_refused(problem: Problem, preset: str | None, message: str) -> None:
    """Before a study begins, not in the first worker."""
    with pytest.raises(UserError, match=message):
        cnn_space(problem, preset=preset)


def test_two_thousand_different_members_build() -> None:
    """A legal network that can't be built would be found out by a worker, one by one."""
    space, rng = cnn_space(), np.random.default_rng(2)
    members = {(a := space.sample(rng)).key: a for _ in range(2100)}
    assert len(members) >= 2000
    for architecture in members.values():
        assert skeleton(architecture, problem=DIGITS)[-1].out_features == 10  # type: ignore[index, union-attr]


@pytest.mark.exhaustive
@pytest.mark.timeout(600)  # for machines that do other work as well
@pytest.mark.parametrize("preset", [None, "small"])
@pytest.mark.parametrize("problem", [DIGITS, SERIES], ids=["2-D", "1-D"])
def test_a_hundred_thousand_samples_are_legal_and_canonical(problem: Problem, preset: str | None) -> None:
    """A rare illegal sample would surface in a long study only."""
    space, rng = cnn_space(problem, preset=preset), np.random.default_rng(3)
    for _ in range(100_000):
        architecture = space.sample(rng)
        assert architecture == space.canonical(architecture.as_dict())
