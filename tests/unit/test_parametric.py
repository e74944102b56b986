"""The generic engine: what sampling, mutation and crossover mean, and the sentences about wrong declarations."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from nasd.domain.study import Role
from nasd.errors import UserError
from nasd.spaces.parametric import Choice, Declaration, FloatRange, Genes, IntRange, Parameter, ParametricSpace, Rule
from nasd.spaces.parametric.nearest import nearest

OPS = Choice(("conv", "pool", "skip"), ordered=False)
SIZES = Choice((32, 64, 128, 256), ordered=True)


def space(*parameters: Parameter, constraints: tuple[str | Rule, ...] = (), **parts: Any) -> ParametricSpace:
    return ParametricSpace(Declaration(kind="toy", parameters=parameters, constraints=constraints, **parts))


def one(name: str, *options: int | str | bool, **parts: Any) -> Parameter:
    return Parameter(name=name, domain=Choice(options, ordered=not isinstance(options[0], str)), **parts)


def blocks(low: int = 3, high: int = 8) -> Parameter:
    return Parameter(name="blocks", domain=IntRange(low, high))


def per_block(name: str, domain: Choice | IntRange | FloatRange = SIZES, **parts: Any) -> Parameter:
    return Parameter(name=name, domain=domain, each="blocks", **parts)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_constraint_filters_the_last_drawn_parameter_and_starves_no_other() -> None:
    """12 heads fit 768 alone: with rejection sampling, d_model = 768 would be drawn twice as often as the others."""
    widths = Counter[int]()
    transformer = space(one("d_model", 512, 768, 1024), one("heads", 8, 12, 16), constraints=("d_model % heads == 0",))
    draws = rng()
    for _ in range(3000):
        genes = transformer.sample(draws).as_dict()
        assert genes["d_model"] % genes["heads"] == 0  # type: ignore[operator]
        widths[genes["d_model"]] += 1  # type: ignore[index]
    assert min(widths.values()) > 900


def test_weights_make_a_draw_fair() -> None:
    """A family knows which options are scarce; the hook sees what was drawn before and what is legal now."""

    def favour_twelve(values: Mapping[str, Any], options: Any) -> list[float]:
        return [9.0 if option == 12 and values["d_model"] == 768 else 1.0 for option in options]

    transformer = space(
        one("d_model", 512, 768),
        one("heads", 8, 12, weights=favour_twelve),
        constraints=("d_model % heads == 0",),
    )
    draws = rng()
    heads = Counter(transformer.sample(draws)["heads"] for _ in range(2000))
    assert 800 < heads[12] < 1000


def test_weights_of_a_list_see_the_elements_before() -> None:
    """Strides that are used up must be known where the next one is drawn."""
    seen: set[tuple[int, ...]] = set()

    def look(values: Mapping[str, Any], options: Any) -> list[float]:
        seen.add(tuple(values["stride"]))
        return [1.0] * len(options)

    toy = space(blocks(3, 3), per_block("stride", Choice((1, 2), ordered=True), weights=look))
    draws = rng()
    for _ in range(100):
        toy.sample(draws)
    assert seen == {(), (1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2)}


def test_a_constraint_over_a_list_leaves_every_position_alike() -> None:
    """Filtered at the last position alone, strides would gather in the first blocks."""
    toy = space(blocks(6, 6), per_block("stride", Choice((1, 2), ordered=True)), constraints=("prod(stride) <= 4",))
    draws = rng()
    at = Counter(i for _ in range(1500) for i, s in enumerate(toy.sample(draws)["stride"]) if s == 2)  # type: ignore[arg-type]
    assert max(at.values()) < 1.3 * min(at.values())


def test_a_constraint_that_random_draws_hardly_meet_is_met() -> None:
    """1 of 4**4 lists: elements are drawn anew until it holds."""
    toy = space(blocks(4, 4), per_block("width"), constraints=("sum(width) == 128",))
    assert toy.sample(rng())["width"] == (32,) * 4


def test_rare_members_are_found_by_walking() -> None:
    """Fewer than one in thousands: a small space is walked before it is called empty."""
    toy = space(
        *[one(name, *range(1, 13)) for name in "abc"],
        constraints=("a + b + c == 36 or a + b + c == 3",),
    )
    found = {toy.sample(rng(seed)).json for seed in range(12)}
    assert toy.size == len(found) == 2


def neighbours(of: Genes, toy: ParametricSpace, n: int = 2000) -> list[Genes]:
    parent, draws = toy.canonical(of), rng(1)
    return [toy.mutate(parent, draws).as_dict() for _ in range(n)]


def test_blocks_are_added_removed_doubled_and_swapped_whole() -> None:
    """A block's genes belong together: an operation without its width is another network."""
    toy = space(blocks(), per_block("op", OPS), per_block("width", when="op == 'conv'"), one("act", "relu", "gelu"))
    genes = {"blocks": 3, "op": ["conv", "pool", "skip"], "width": [64, None, None], "act": "relu"}
    before = [("conv", 64), ("pool", None), ("skip", None)]
    kinds = Counter[str]()
    for child in neighbours(genes, toy):
        after = list(zip(child["op"], child["width"], strict=True))
        if len(after) == 4:
            new = [block for i, block in enumerate(after) if after[:i] + after[i + 1 :] == before]
            assert new, "a block that was there has changed"
            kinds["doubled" if new[0] in before else "added"] += 1
        elif child["act"] != "relu":
            kinds["act"] += 1
        else:
            kinds["swapped" if sorted(after, key=str) == sorted(before, key=str) else "changed"] += 1
        assert all((width is None) == (op != "conv") for op, width in after)
    assert {"doubled", "added", "swapped", "changed", "act"} == set(kinds)
    assert kinds["changed"] == max(kinds.values())


def test_growing_and_shrinking_are_equally_likely() -> None:
    """Otherwise a search would drift to one end of the front by its moves alone."""
    toy = space(blocks(1, 9), per_block("width"))
    depths = Counter(child["blocks"] for child in neighbours({"blocks": 5, "width": [32, 64, 128, 256, 32]}, toy))
    assert set(depths) == {4, 5, 6}
    assert 0.8 < depths[4] / depths[6] < 1.25


def test_ordered_genes_mostly_move_one_step_and_unordered_ones_anywhere() -> None:
    """Neighbours in meaning have alike errors; a jump must remain possible."""
    toy = space(Parameter(name="size", domain=Choice((1, 2, 3, 4, 5), ordered=True)), one("act", "a", "b", "c"))
    children = neighbours({"size": 3, "act": "a"}, toy)
    steps = Counter(abs(child["size"] - 3) for child in children if child["size"] != 3)
    acts = Counter(child["act"] for child in children if child["act"] != "a")
    assert 0.8 < steps[1] / steps.total() < 1.0
    assert 0.8 < acts["b"] / acts["c"] < 1.25


def test_numbers_move_by_a_tenth_of_their_range_on_their_scale() -> None:
    """A learning rate moves by a factor; canonical values have six digits and stay within the range."""
    toy = space(
        Parameter(name="lr", domain=FloatRange(1e-4, 1e-2, log=True)), Parameter(name="n", domain=IntRange(0, 1000))
    )
    children = neighbours({"lr": 1e-3, "n": 500}, toy)
    factors = np.log10([child["lr"] / 1e-3 for child in children if child["lr"] != 1e-3])
    steps = np.array([child["n"] - 500 for child in children if child["n"] != 500])
    assert 0.15 < float(np.std(factors)) < 0.25
    assert 80 < float(np.std(steps)) < 120
    assert all(float(f"{child['lr']:.5e}") == child["lr"] and 1e-4 <= child["lr"] <= 1e-2 for child in children)


def test_what_a_change_breaks_is_drawn_anew() -> None:
    """d_model could never leave 768 while 12 heads stand, if only the changed gene might change."""
    toy = space(one("d_model", 512, 768), one("heads", 8, 12), constraints=("d_model % heads == 0",))
    assert {(c["d_model"], c["heads"]) for c in neighbours({"d_model": 768, "heads": 12}, toy, 50)} == {
        (512, 8),
        (768, 8),
    }


def test_what_comes_to_exist_is_drawn_and_what_ceases_has_its_otherwise() -> None:
    """The value that stands for `does not exist` must not be inherited as if somebody had chosen it."""
    toy = space(one("kind", "a", "b"), one("groups", 1, 2, 4, when="kind == 'b'", otherwise=1))
    born = Counter(child["groups"] for child in neighbours({"kind": "a", "groups": 4}, toy, 600))
    assert toy.canonical({"kind": "a", "groups": 4})["groups"] == 1
    assert min(born.values()) > 150


def test_children_take_whole_blocks_from_equal_relative_depth() -> None:
    """Genes mixed within a block would make operations and widths that no parent had together."""
    toy = space(blocks(), per_block("op", OPS), per_block("width"), one("act", "relu", "gelu"))
    shallow = toy.canonical({"blocks": 3, "op": ["conv"] * 3, "width": [32, 64, 128], "act": "relu"})
    deep = toy.canonical({"blocks": 6, "op": ["pool"] * 6, "width": [32, 32, 64, 64, 128, 256], "act": "gelu"})
    draws, depths = rng(), Counter[int]()
    for _ in range(200):
        child = toy.crossover(shallow, deep, draws).as_dict()
        n = child["blocks"]
        depths[n] += 1  # type: ignore[index]
        for i, block in enumerate(zip(child["op"], child["width"], strict=True)):  # type: ignore[arg-type]
            sources = {
                (p["op"][(2 * i + 1) * p["blocks"] // (2 * n)], p["width"][(2 * i + 1) * p["blocks"] // (2 * n)])
                for p in (shallow, deep)
            }  # type: ignore[index, operator]
            assert block in sources
    assert set(depths) == {3, 6}


def test_parents_that_do_not_go_together_give_a_legal_child() -> None:
    """Every mixture breaks the constraint here: what breaks is drawn anew."""
    toy = space(one("a", *range(9)), one("b", *range(9)), one("c", "x", "y"), constraints=("a == b",))
    mother, father = toy.canonical({"a": 1, "b": 1, "c": "x"}), toy.canonical({"a": 7, "b": 7, "c": "y"})
    draws = rng()
    assert all((child := toy.crossover(mother, father, draws))["a"] == child["b"] for _ in range(50))


def test_equal_networks_have_one_key_where_the_family_says_so() -> None:
    """`normalise` is the last step everywhere: sampling, operators and genes from outside."""

    def without_activation(genes: Genes) -> Genes:
        return {**genes, "act": "relu"} if genes["layers"] == 0 else genes

    toy = space(one("layers", 0, 1), one("act", "relu", "gelu"), normalise=without_activation)
    assert toy.canonical({"layers": 0, "act": "gelu"}) == toy.canonical({"layers": 0, "act": "relu"})
    assert toy.size == 3
    assert len({toy.sample(rng(seed)).key for seed in range(40)}) == 3


def test_a_rule_in_python_sees_one_element_of_each_list_or_the_whole() -> None:
    """What an expression can't say clearly: residuals need equal channels on both sides."""
    alike = Rule(("width", "residual"), lambda w, r: not r[0] or w[0] == 32, says="a residual keeps its channels")
    wide = Rule(("width", "kernel"), lambda w, k: w > 32 or k == 3, each="blocks", says="narrow blocks have kernel 3")
    toy = space(
        blocks(2, 2),
        per_block("width"),
        per_block("residual", Choice((False, True), ordered=False)),
        per_block("kernel", Choice((3, 5), ordered=True)),
        constraints=(alike, wide),
    )
    draws = rng()
    for _ in range(200):
        genes = toy.sample(draws).as_dict()
        assert not genes["residual"][0] or genes["width"][0] == 32  # type: ignore[index]
        assert all(w > 32 or k == 3 for w, k in zip(genes["width"], genes["kernel"], strict=True))  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"width = \[64, 32\], residual = \[True, False\]: breaks .* keeps its channels"
    ):
        toy.canonical({"blocks": 2, "width": [64, 32], "residual": [True, False], "kernel": [3, 3]})


TOY = (blocks(1, 3), per_block("width"), one("act", "relu", "gelu"), one("groups", 1, 2, when="blocks > 1"))
LEGAL = {"blocks": 2, "width": [32, 64], "act": "relu", "groups": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 3}, "depth = 3: the toy space has no such gene; its genes: blocks, width, act, groups"),
        ({"blocks": 4}, "blocks = 4: not in this space; a whole number from 1 to 3"),
        ({"blocks": True}, "blocks = True: not in this space"),
        ({"width": [32]}, r"width = \[32\]: blocks = 2 needs 2 of them, not 1"),
        ({"width": 32}, "width = 32: must be a list of 2"),
        ({"width": [32, 33]}, r"width\[1\] = 33: not in this space; options: 32, 64, 128, 256"),
        ({"width": [32, None]}, r"width\[1\] = None: not in this space"),
        ({"act": "tanh"}, "act = tanh: not in this space; options: relu, gelu"),
        ({"groups": None}, "groups = None: not in this space"),
        ({"width": [256, 256]}, r'width = \[256, 256\]: breaks the constraint "sum\(width\) <= 500"'),
    ],
)
def test_an_illegal_gene_is_refused_by_name_and_value(change: dict[str, object], message: str) -> None:
    """Rows are shown to people; the sentence must say what to look at."""
    toy = space(*TOY, constraints=("sum(width) <= 500",))
    with pytest.raises(ValueError, match=message):
        toy.canonical({**LEGAL, **change})  # type: ignore[dict-item]


def test_genes_that_do_not_exist_may_be_left_out_or_hold_anything() -> None:
    """Whoever writes genes by hand need not know what does not exist."""
    toy = space(*TOY)
    small = {"blocks": 1, "width": [32], "act": "relu"}
    assert toy.canonical(small) == toy.canonical({**small, "groups": 7, "width": [32, 999]})
    with pytest.raises(ValueError, match="act: missing; options: relu, gelu"):
        toy.canonical({"blocks": 1, "width": [32]})


@pytest.mark.parametrize(
    ("parameters", "constraints", "message"),
    [
        ((), (), "space.params: no parameter is declared"),
        ((one("x", 1), one("x", 2)), (), "space.params.x: is declared twice"),
        ((per_block("x"),), (), 'space.params.x.each = "blocks": no parameter has that name'),
        ((one("blocks", "a"), per_block("x")), (), "blocks is no count"),
        ((one("blocks", 1, 5000), per_block("x")), (), "A list has at most 1024 elements"),
        ((one("x", 1, 2, when="y > 1"), one("y", 1, 2, when="x > 1")), (), "depends on itself: x needs y, y needs x"),
        ((one("x", 1, 2, when="z > 1"),), (), "space.params.x.when: .* no parameter is called z"),
        ((one("x", 1, 2, otherwise=1),), (), "space.params.x.otherwise = 1: means nothing without when"),
        ((blocks(), per_block("w"), one("x", 1, 2, when="w > 32")), (), r"Use any\(...\), all\(...\) or w\[0\]"),
        ((one("x", 1, 2), one("y", 1, 2)), ("x > 3",), 'space.constraints: of 400 draws none .* failed at "x > 3"'),
        ((one("x", 1, 2), one("t", "a")), ("x + t > 3",), "space.constraints: .* takes 'a' for a number"),
        ((one("x", 1, 2),), ("1 < 2",), "space.constraints: .*reads no parameter"),
        ((one("steps", 1, 2, role=Role.RECIPE),), (), "space.params.steps: is no setting"),
    ],
)
def test_a_wrong_declaration_is_refused_when_the_space_is_built(
    parameters: tuple[Parameter, ...], constraints: tuple[str, ...], message: str
) -> None:
    """Later it would surface in the middle of a study, as a search that proposes nothing."""
    with pytest.raises(UserError, match=message):
        space(*parameters, constraints=constraints)


def test_a_size_that_cannot_be_counted_is_a_bound() -> None:
    """A constraint over whole lists would have to be walked: in a large space the count without it is said."""
    parameters = (blocks(3, 8), per_block("width"), per_block("stride", Choice((1, 2), ordered=True)))
    free, bound = space(*parameters), space(*parameters, constraints=("prod(stride) <= 8",))
    assert (free.counted.n, free.counted.is_exact) == (sum(8**n for n in range(3, 9)), True)
    assert (bound.counted.n, bound.counted.is_exact) == (free.size, False)


def test_numbers_have_six_digits_and_one_type() -> None:
    """JSON readers turn 1.0 into 1, and a sum that differs in the last bit is the same learning rate."""
    toy = space(Parameter(name="x", domain=FloatRange(0, 2)), Parameter(name="n", domain=IntRange(1, 4)))
    assert toy.canonical({"x": 1, "n": 2.0}).json == toy.canonical({"x": 1.0, "n": 2}).json
    assert toy.canonical({"x": 0.1 + 0.2, "n": 1}) == toy.canonical({"x": 0.3, "n": 1})
    assert toy.canonical({"x": -0.0, "n": 1}).json == toy.canonical({"x": 0.0, "n": 1}).json
    with pytest.raises(ValueError, match="x = 1000"):
        toy.canonical({"x": 10**400, "n": 1})  # whole numbers go on where floats end
    assert FloatRange(1.0, 1.00002).n == 3
    assert FloatRange(-1.0, 1.0).n == 2 * FloatRange(0.0, 1.0).n - 1


@pytest.mark.parametrize("otherwise", [1, 0, "none", True])
@pytest.mark.parametrize("domain", [Choice((2, 4), ordered=True), IntRange(2, 4), FloatRange(2, 4)], ids=str)
def test_an_otherwise_that_is_no_option_has_baselines_too(domain: Choice | IntRange | FloatRange, otherwise) -> None:
    """`groups = { choice = [2, 4], when = "width > 64", otherwise = 1 }` is how one says that there is one group."""
    groups = Parameter(name="groups", domain=domain, when="width > 64", otherwise=otherwise)
    toy = space(one("width", 64, 128), groups)
    assert nearest(toy, {"width": 64, "groups": 4})["groups"] == otherwise
    assert nearest(toy, {"width": 128, "groups": 4})["groups"] == 4
