"""The transformer space: no choice is starved, what does not exist is null, cuts fit the input, mistakes are named."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasd import spaces
from nasd.domain.architecture import Architecture
from nasd.domain.data import Problem, Task
from nasd.domain.study import ParameterSpec, SpaceSpec
from nasd.errors import UserError
from nasd.nets import build_module, skeleton
from nasd.nets.counting import count, example_inputs
from nasd.nets.runtime import threads
from nasd.nets.transformer.attention import Core
from nasd.nets.transformer.blocks import Block
from nasd.nets.transformer.embedding import TiedHead
from nasd.nets.transformer.mixture import Experts, Mixture
from nasd.spaces import transformer
from nasd.spaces.parametric import Choice

DIGITS = Problem(input_shape=(1, 8, 8), n_outputs=10)
SERIES = Problem(input_shape=(1, 40), n_outputs=10)
FEATURES = Problem(input_shape=(18,), n_outputs=3)
TEXTS = Problem(input_shape=(26,), n_outputs=2, vocabulary=20)
LANGUAGE = Problem(input_shape=(64,), n_outputs=50, vocabulary=50, task=Task.LM)
PHOTOS = Problem(input_shape=(3, 224, 224), n_outputs=100)
PROBLEMS = {"digits": DIGITS, "series": SERIES, "features": FEATURES, "texts": TEXTS, "language": LANGUAGE}
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two would wait for each other wherever the machine is busy."""
    with threads(1):
        yield


def space_of(problem: Problem, preset: str | None = "small", **params: tuple) -> transformer.TransformerSpace:
    narrowing = {name: ParameterSpec(choice=options) for name, options in params.items()}
    return transformer.build(SpaceSpec(kind="transformer", preset=preset, params=narrowing), problem)


def samples(space: transformer.TransformerSpace, n: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(n)]


def options(space: transformer.TransformerSpace, name: str) -> tuple[object, ...]:
    domains = {parameter.name: parameter.domain for parameter in space.declaration.parameters}
    domain = domains[name]
    assert isinstance(domain, Choice)
    return domain.options


@pytest.mark.parametrize("preset", [None, "small"])
@pytest.mark.parametrize("problem", [*PROBLEMS.values(), PHOTOS], ids=[*PROBLEMS, "photos"])
def test_no_option_is_starved(preset: str | None, problem: Problem) -> None:
    """Divisibility leaves 12 heads one d_model of four: every option gets a third of its even share or more."""
    space = space_of(problem, preset)
    drawn = samples(space, 3000)
    for parameter in space.declaration.parameters:
        seen = Counter(architecture[parameter.name] for architecture in drawn)
        del seen[None]
        all_of = options(space, parameter.name)
        shares = {option: seen[option] / seen.total() * len(all_of) for option in all_of}
        assert min(shares.values()) > 1 / 3, (parameter.name, shares)


@every_problem
def test_every_sample_is_consistent(problem: Problem) -> None:
    """The constraints, written out a second time."""
    for a in samples(space_of(problem), 500):
        genes = a.as_dict()
        assert genes["d_model"] % genes["heads"] == 0
        assert genes["positions"] != "rotary" or genes["d_model"] // genes["heads"] % 2 == 0
        assert (genes["window"] is not None) == (genes["attention"] == "local")
        assert (genes["stride"] is not None) == (genes["attention"] == "sparse")
        assert (genes["n_experts"] is not None) == (genes["experts"] == "mixture") == (genes["top_k"] is not None)
        assert genes["sharing"] != "pairs" or genes["layers"] > 2
        assert ("embedding" in genes) == bool(problem.vocabulary) == ("patch" not in genes)
        assert genes.get("embedding", 0) <= genes["d_model"]


def test_twelve_heads_bring_their_own_width() -> None:
    """A study of 12 heads is a study of d_model 768; one without 768 has nothing to search."""
    assert {768} == {a["d_model"] for a in samples(space_of(DIGITS, None, heads=(12,)), 50)}
    with pytest.raises(UserError, match=r"space\.constraints: .*d_model % heads == 0"):
        space_of(DIGITS, None, heads=(12,), d_model=(512, 1024)).sample(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("problem", "cuts"),
    [
        (DIGITS, {"patch": (1, 2, 4)}),
        (Problem(input_shape=(1, 28, 28), n_outputs=10), {"patch": (2, 4, 7, 14)}),
        (Problem(input_shape=(3, 6, 10), n_outputs=10), {"patch": (1, 2)}),
        (SERIES, {"patch": (1, 2, 4, 5), "context": (20, 40)}),
        (Problem(input_shape=(2, 13), n_outputs=3), {"patch": (1,), "context": (13,)}),
        (FEATURES, {"patch": (1, 2, 3)}),
        (LANGUAGE, {"context": (32, 64), "embedding": (16, 32, 48, 64, 96, 128)}),
    ],
    ids=lambda value: str(value.input_shape) if isinstance(value, Problem) else "",
)
def test_inputs_are_cut_without_remainder(problem: Problem, cuts: dict[str, tuple[int, ...]]) -> None:
    """Patches divide sides and contexts, and leave at least four tokens that attend to one another."""
    space = space_of(problem)
    names = {parameter.name for parameter in space.declaration.parameters} & {"patch", "context", "embedding"}
    assert cuts == {name: options(space, name) for name in names}


def test_inputs_too_short_for_a_window_offer_none() -> None:
    """Local attention over two tokens is full attention under another name."""
    space = space_of(Problem(input_shape=(2,), n_outputs=3))
    assert options(space, "attention") == ("full", "linear")
    assert "window" not in {parameter.name for parameter in space.declaration.parameters}


def test_the_big_space_has_the_published_sizes() -> None:
    """What a study file may narrow is what the documentation lists."""
    space = space_of(LANGUAGE, None)
    assert options(space, "layers") == (6, 12, 24, 32)
    assert options(space, "d_model") == (512, 768, 1024, 2048)
    assert options(space, "heads") == (8, 12, 16, 32)
    assert options(space, "mlp_ratio") == (2, 4, 8)
    assert options(space, "attention") == ("full", "local", "sparse", "linear")
    assert options(space, "n_experts") == (4, 8)


@pytest.mark.parametrize("problem", [*PROBLEMS.values(), PHOTOS], ids=[*PROBLEMS, "photos"])
@pytest.mark.parametrize("preset", [None, "small"])
def test_baselines_grow(problem: Problem, preset: str | None) -> None:
    """Three hand-made networks, each larger than the last, with the whole context."""
    space = space_of(problem, preset)
    named = dict(spaces.baselines(space))
    assert list(named) == ["small", "medium", "large"]
    sizes = [space.counts(a)["params"] for a in named.values()]
    assert sorted(sizes) == sizes
    for a in named.values():
        assert (a["attention"], a["experts"], a["sharing"]) == ("full", "dense", "none")
        assert "context" not in a.as_dict() or a["context"] == problem.input_shape[-1]
        assert "embedding" not in a.as_dict() or a["embedding"] == a["d_model"]


@pytest.mark.parametrize(
    ("problem", "preset", "sentence"),
    [
        (DIGITS, "tiny", r'space\.preset = "tiny": .* no such preset; known: small'),
        (Problem(input_shape=(1, 2, 3, 4), n_outputs=2), None, r"1 to 3 dimensions.*\[1, 2, 3, 4\]\. Reshape"),
        (Problem(input_shape=(3, 8), n_outputs=2, vocabulary=5), None, r"tokens come as \(context\).*\[3, 8\]"),
        (
            Problem(input_shape=(8,), n_outputs=4, vocabulary=5, task=Task.LM),
            None,
            "one vocabulary.*5 tokens in and 4 out",
        ),
    ],
)
def test_what_can_not_be_searched_is_refused(problem: Problem, preset: str | None, sentence: str) -> None:
    """Before a study starts, not in its first trial."""
    with pytest.raises(UserError, match=sentence):
        space_of(problem, preset)


def test_counts_by_hand() -> None:
    """One layer of each kind, d_model 32, on 16 patches of four numbers: the convention, not the code, written out."""
    space = space_of(DIGITS)
    genes = {
        "patch": 2, "layers": 2, "d_model": 32, "heads": 2, "mlp_ratio": 2, "norm_position": "pre",
        "positions": "learned", "attention": "full", "experts": "mixture", "n_experts": 4, "top_k": 1,
        "sharing": "all", "activation": "relu", "dropout": 0.0,
    }  # fmt: skip
    counts = space.counts(space.canonical(genes))
    ends = (4 * 32 + 32) + 16 * 32 + 2 * 32 + (32 * 10 + 10)  # patches, positions, norm, head
    expert = (32 * 64 + 64) + (64 * 32 + 32)
    layer = (32 * 96 + 96) + (32 * 32 + 32) + 2 * (2 * 32) + 32 * 4  # attention, norms, router
    assert counts["params"] == ends + layer + 4 * expert  # two layers are one
    assert counts["active_params"] == ends + layer + expert
    products = 16 * 32 * 96 + 2 * 16 * 16 * 32 + 16 * 32 * 32 + 16 * 32 * 4 + 16 * 2 * 32 * 64
    assert counts["flops"] == 2 * (16 * 4 * 32 + 2 * products + 32 * 10)


@every_problem
def test_flops_on_a_cpu_are_the_analytic_ones(problem: Problem) -> None:
    """With real tokens, which a mixture's router sends where it likes; attention by torch's fused kernel."""
    assert differing_on_the_cpu(problem, n=12) == []


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@every_problem
def test_flops_on_a_cpu_are_the_analytic_ones_a_thousand_times(problem: Problem) -> None:
    """The same, to the number that the space promises."""
    assert differing_on_the_cpu(problem, n=1000) == []


def differing_on_the_cpu(problem: Problem, *, n: int) -> list[Architecture]:
    space, found = space_of(problem), []
    for architecture in samples(space, n, seed=5):
        counts = space.counts(architecture)
        real = count(build_module(architecture, problem=problem, seed=0), problem)
        if real != {name: counts[name] for name in real}:
            found.append(architecture)
    return found


@every_problem
def test_activation_bytes_are_the_outputs_of_all_layers(problem: Problem) -> None:
    """Measured by hooks on every layer of the real module, by the definition in `transformer_counts`."""
    space = space_of(problem)
    for architecture in samples(space, 12, seed=6):
        module = build_module(architecture, problem=problem, seed=0)
        assert space.counts(architecture)["activation_bytes"] == 4 * n_outputs_of_layers(module, problem)


def n_outputs_of_layers(module: nn.Module, problem: Problem) -> int:
    sizes: list[int] = []

    def record(part: nn.Module, _: object, out: Tensor) -> None:
        sizes.append(out.numel())
        if isinstance(part, Experts):  # what it widens to is no layer of its own
            sizes.append(len(out) * part.down.shape[1])
        if isinstance(part, Block):  # two residual sums
            sizes.append(out.numel())

    for part in module.modules():
        if isinstance(part, Block | Core | Experts | Mixture | TiedHead) or not [*part.children()]:
            part.register_forward_hook(record)
    module(example_inputs(problem, 1))
    return sum(sizes)


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("preset", [None, "small"])
@every_problem
def test_a_hundred_thousand_samples_validate(preset: str | None, problem: Problem) -> None:
    """A rare illegal sample would surface in a long study only."""
    space = space_of(problem, preset)
    for architecture in samples(space, 20_000):
        assert architecture == space.canonical(architecture.as_dict())


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("preset", [None, "small"])
@every_problem
def test_two_thousand_distinct_forms_build(preset: str | None, problem: Problem) -> None:
    """On the meta device: shapes and sharing without memory."""
    forms = {a.key: a for a in samples(space_of(problem, preset), 420)}
    assert len(forms) > 400
    for architecture in forms.values():
        weights = skeleton(architecture, problem=problem).parameters()
        assert all(weight.device == torch.device("meta") for weight in weights)
