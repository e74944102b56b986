"""The MLP space: its table of choices, canonical form, and what mutation and crossover mean."""

from collections import Counter

import numpy as np
import pytest

from nasd import spaces
from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.domain.space import SearchSpace
from nasd.domain.study import ParameterSpec, Role, SpaceSpec
from nasd.errors import UserError

GENES = {"layers": 3, "widths": [256, 128, 512], "activation": "gelu", "norm": "batchnorm", "dropout": 0.1}


def mlp(**options: tuple[int | float | str, ...]) -> SearchSpace:
    params = {name: ParameterSpec(choice=kept) for name, kept in options.items()}
    return spaces.build(SpaceSpec(kind="mlp", params=params), Problem(input_shape=(8, 8), n_outputs=10))


def test_size_is_that_of_the_conditional_space() -> None:
    """4^2 + 4^3 + 4^4 + 4^6 + 4^8 width lists, times 3 activations, 3 normalisations, 4 dropouts."""
    assert mlp().size == (16 + 64 + 256 + 4096 + 65536) * 36


def test_activation_bytes_are_those_of_all_layers_outputs() -> None:
    """What a backward pass keeps decides which batch fits; by hand, without and with dropout and a norm."""
    plain = {"layers": 2, "widths": [128, 256], "activation": "relu", "norm": "none", "dropout": 0.0}
    counts = mlp().counts(mlp().canonical(plain))
    assert counts["activation_bytes"] == 4 * (2 * (128 + 256) + 10)
    assert counts["active_params"] == counts["params"]
    counts = mlp().counts(mlp().canonical(GENES))
    assert counts["activation_bytes"] == 4 * (4 * (256 + 128 + 512) + 10)


def test_canonical_drops_the_widths_of_layers_that_do_not_exist() -> None:
    """Two texts for one network would be trained twice."""
    space = mlp()
    longer = space.canonical({**GENES, "widths": [256, 128, 512, 1024]})
    assert space.canonical(GENES) == longer


def test_canonical_brings_numbers_to_the_options_own_type() -> None:
    """JSON readers turn 0.0 into 0; the key must not depend on that."""
    space = mlp()
    whole = space.canonical({**GENES, "dropout": 0, "layers": 3.0, "widths": [256.0, 128, 512]})
    assert space.canonical({**GENES, "dropout": 0.0}).json == whole.json


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 3}, "depth: the mlp space has no such gene"),
        ({"layers": 5}, "layers = 5: not in this space; options: 2, 3, 4, 6, 8"),
        ({"layers": True}, "layers = True"),
        ({"widths": [256]}, r"layers = 3 needs 3 widths, not 1"),
        ({"widths": 256}, "widths = 256: must be a list"),
        ({"widths": [256, 128, 100]}, r"widths\[2\] = 100"),
        ({"activation": "tanh"}, "activation = tanh: not in this space; options: relu, gelu, silu"),
        ({"norm": None}, "norm = None"),
        ({"dropout": 0.5}, "dropout = 0.5"),
    ],
)
def test_an_illegal_gene_is_refused_by_name_and_value(change: dict[str, object], message: str) -> None:
    """Rows are shown to people; the sentence must say what to look at."""
    with pytest.raises(ValueError, match=message):
        mlp().canonical({**GENES, **change})  # type: ignore[dict-item]


def test_a_missing_gene_is_refused_by_name() -> None:
    """A default would make two texts for one network."""
    with pytest.raises(ValueError, match="norm: missing"):
        mlp().canonical({name: value for name, value in GENES.items() if name != "norm"})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"width": (64,)},
            r"space.params.width = \[64\]: 64 is no option of the mlp space; options: 128, 256, 512, 1024",
        ),
        ({"widths": (128,)}, 'no choice "widths"; its choices: layers, width, activation, norm, dropout'),
        ({"norm": ()}, r"space.params.norm = \[\]: nothing is left to choose; keep at least one of none, "),
        ({"dropout": (False,)}, "False is no option"),
    ],
)
def test_a_bad_narrowing_names_key_value_and_options(params: dict[str, tuple[int, ...]], message: str) -> None:
    """It is the user's to mend, from the sentence alone."""
    with pytest.raises(UserError, match=message):
        mlp(**params)


def test_narrowing_keeps_the_spaces_order_and_types() -> None:
    """Ordinal steps go by order; a study file may list options in any."""
    assert mlp(width=(1024, 128), dropout=(0,)) == mlp(width=(128, 1024.0), dropout=(0.0,))


def test_mutation_makes_every_kind_of_change_and_mostly_small_ones() -> None:
    """Local search needs neighbours: one thing at a time, most widths by one step."""
    space, rng = mlp(), np.random.default_rng(0)
    parent = space.canonical({**GENES, "layers": 4, "widths": [256, 512, 256, 512], "dropout": 0.1})
    changes, steps = Counter[str](), Counter[int]()
    for _ in range(2000):
        child = space.mutate(parent, rng)
        changed = [name for name in ("layers", "activation", "norm", "dropout") if child[name] != parent[name]]
        if not changed:
            moved = [(a, b) for a, b in zip(parent["widths"], child["widths"], strict=True) if a != b]  # type: ignore[arg-type]
            assert len(moved) == 1
            steps[round(abs(np.log2(moved[0][0] / moved[0][1])))] += 1
        changes[",".join(changed) or "width"] += 1
    assert {"layers", "activation", "norm", "dropout", "width"} == set(changes)
    assert min(changes.values()) > 100
    assert steps[1] > 0.8 * steps.total()


def test_growing_keeps_the_layers_there_were() -> None:
    """Adding a layer changes the network by that layer; the rest stays, in order."""
    space, rng = mlp(), np.random.default_rng(1)
    parent = space.canonical(GENES)
    for _ in range(500):
        child = space.mutate(parent, rng)
        short, long = sorted((parent["widths"], child["widths"]), key=len)  # type: ignore[arg-type, type-var]
        if len(short) != len(long):  # type: ignore[arg-type]
            rest = iter(long)  # type: ignore[arg-type]
            assert all(width in rest for width in short)  # type: ignore[union-attr]


def test_a_child_takes_each_layer_from_the_same_relative_depth_of_a_parent() -> None:
    """Aligned by index, the deeper parent's last layers would never be inherited."""
    space, rng = mlp(), np.random.default_rng(2)
    shallow = space.canonical({**GENES, "layers": 2, "widths": [128, 256], "norm": "none"})
    deep = space.canonical({**GENES, "layers": 8, "widths": [512] * 4 + [1024] * 4, "norm": "layernorm"})
    allowed = {2: [{128, 512}, {256, 1024}], 8: [{128, 512}] * 4 + [{256, 1024}] * 4}
    seen = Counter[int]()
    for _ in range(300):
        child = space.crossover(shallow, deep, rng)
        widths = child["widths"]
        assert all(w in options for w, options in zip(widths, allowed[len(widths)], strict=True))  # type: ignore[arg-type]
        assert child["norm"] in {"none", "layernorm"}
        seen[len(widths)] += 1  # type: ignore[arg-type]
    assert {2, 8} == set(seen)


def test_baselines_are_the_nearest_legal_networks() -> None:
    """In a narrowed space a hand-made network must still be hand-made, not random."""
    baselines = dict(spaces.baselines(mlp(layers=(6,), width=(512,), norm=("layernorm",))))
    assert {"small", "medium", "large"} == set(baselines)
    assert all(a["widths"] == (512,) * 6 and a["norm"] == "layernorm" for a in baselines.values())
    whole = spaces.baselines(mlp())
    assert [name for name, _ in whole] == ["small", "medium", "large"]
    sizes = [mlp().counts(a)["params"] for _, a in whole]
    assert sorted(sizes) == sizes


def test_sampling_draws_depths_evenly() -> None:
    """Uniform over members would make 94 % of all samples eight layers deep."""
    space, rng = mlp(), np.random.default_rng(3)
    depths = Counter(space.sample(rng)["layers"] for _ in range(2000))
    assert {2, 3, 4, 6, 8} == set(depths)
    assert min(depths.values()) > 300


def test_an_architecture_of_genes_in_any_order_has_one_key() -> None:
    """The key is computed on two machines from dictionaries of unknown order."""
    assert Architecture.of("mlp", GENES) == Architecture.of("mlp", dict(reversed(GENES.items())))


def test_a_searched_setting_stands_beside_the_network() -> None:
    """The best learning rate depends on the network: both are bred together, and counts are the network's."""
    lr = ParameterSpec(log_range=(1e-4, 1e-2), role=Role.RECIPE)
    space = spaces.build(SpaceSpec(params={"lr": lr}), Problem(input_shape=(8, 8), n_outputs=10))
    rng = np.random.default_rng(4)
    parent = space.canonical({**GENES, "lr": 0.001})
    children = [space.mutate(parent, rng) for _ in range(300)]
    changed = Counter(",".join(name for name, value in parent.genes if child[name] != value) for child in children)
    assert changed["lr"] > 20
    assert space.counts(parent) == mlp().counts(mlp().canonical(GENES))
    assert [a["lr"] for _, a in spaces.baselines(space)] == [0.001] * 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SpaceSpec(constraints=("layers > 2",)), 'space.constraints: the mlp space takes none. .* kind = "custom"'),
        (SpaceSpec(preset="small"), 'space.preset = "small": the mlp space has no presets'),
        (SpaceSpec(params={"layers": ParameterSpec(int_range=(2, 4))}), "space.params.layers: .* List the options"),
    ],
)
def test_what_the_space_cannot_do_is_refused(spec: SpaceSpec, message: str) -> None:
    """Ignored, it would search another space than the one asked for."""
    with pytest.raises(UserError, match=message):
        spaces.build(spec, Problem(input_shape=(8, 8), n_outputs=10))


def test_tokens_are_no_numbers() -> None:
    """The default space with `data.use = "text"`: every trial would fail, where one sentence at the start does."""
    text = Problem(input_shape=(16,), n_outputs=9, vocabulary=9, task=Task.LM)
    with pytest.raises(UserError, match=r'space\.kind = "mlp": takes numbers.* kind = "transformer"'):
        spaces.build(SpaceSpec(), text)
